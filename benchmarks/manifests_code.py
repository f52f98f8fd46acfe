"""Classes that public low-code manifests leave to code of their own, whose code was read: how YAML says the same.

A class is here only where the rows read are the same rows. Left out: what another shape of a record would be, which is
dbt's, as with transformations; and how long a wait takes, where only the wait is code. What cannot be said is not here.
"""

from __future__ import annotations

_TOKEN = "auth: a login, or client credentials, that gives a token"
_KEY = "auth: api_key with a prefix"
_BASIC = "auth: basic"
_QUERY = "for_each: a query over the parents that the run has landed, or a list"
_WAIT = "rate_limit of the table, and retries"
_FILE = "format of the result, packed or not"
_WHOLE = "records: the objects as they are"

Said = tuple[str, str]

# by connector and class: names like CustomAuthenticator are no one's
READ: dict[Said, str] = {
    ("source-looker", "LookerAuthenticator"): _TOKEN,
    ("source-my-hours", "CustomAuthenticator"): _TOKEN,
    ("source-zoom", "ServerToServerOauthAuthenticator"): _TOKEN,
    ("source-paypal-transaction", "PayPalOauth2Authenticator"): _TOKEN,
    ("source-commercetools", "CommerceToolsOauth2Authenticator"): _TOKEN,
    ("source-younium", "CustomYouniumAuthenticator"): _TOKEN,
    ("source-amazon-seller-partner", "AmazonSPOauthAuthenticator"): "auth: oauth2 in a header of its own",
    ("source-okta", "CustomBearerAuthenticator"): _KEY,
    ("source-okta", "CustomOauth2Authenticator"): _KEY,
    ("source-zendesk-talk", "ZendeskTalkAuthenticator"): _BASIC,
    ("source-retently", "AuthenticatorRetently"): _KEY,
    ("source-qualaroo", "CustomAuthenticator"): _BASIC,
    ("source-gitlab", "GroupStreamsPartitionRouter"): _QUERY,
    ("source-gitlab", "ProjectStreamsPartitionRouter"): _QUERY,
    ("source-jira", "SubstreamOrSinglePartitionRouter"): _QUERY,
    ("source-surveymonkey", "SurveyIdPartitionRouter"): _QUERY,
    ("source-trello", "OrderIdsPartitionRouter"): _QUERY,
    ("source-typeform", "FormIdPartitionRouter"): _QUERY,
    ("source-instatus", "UpdatesSubstreamPartitionRouter"): _QUERY,
    ("source-alpha-vantage", "ObjectDpathExtractor"): "records: {path, key}, the values of an object",
    ("source-pocket", "PocketExtractor"): "records: {path, key}, the values of an object",
    # a list, or one object where the connector's user asks for a single account
    ("source-pinterest", "AdAccountRecordExtractor"): "records: a path, or {one: true}",
    # of a record and its relations the code makes flat ones
    ("source-outreach", "CustomExtractor"): _WHOLE,
    ("source-pipedrive", "NullCheckedDpathExtractor"): _WHOLE,
    ("source-asana", "AsanaHttpRequester"): "params: the columns by name, which the code takes from the schema",
    ("source-bing-ads", "DuplicatedRecordsFilter"): "primary_key: a row that comes twice is dropped and counted",
    ("source-the-guardian-api", "CustomPageIncrement"): "paginator: page_number with the path of the total",
    ("source-klaviyo", "KlaviyoErrorHandler"): "a name that is not resolved is tried again",
    ("source-intercom", "ErrorHandlerWithRateLimiter"): _WAIT,
    ("source-pinterest", "PinterestAnalyticsBackoffStrategy"): _WAIT,
    ("source-amazon-seller-partner", "AmazonSellerPartnerWaitTimeFromHeaderBackoffStrategy"): _WAIT,
    ("source-amazon-seller-partner", "GzipCsvDecoder"): _FILE,
    ("source-amazon-seller-partner", "GzipJsonDecoder"): _FILE,
    ("source-amazon-seller-partner", "GzipXmlDecoder"): _FILE,
    ("source-amazon-seller-partner", "GetXmlBrowseTreeDataDecoder"): _FILE,
    ("source-amazon-seller-partner", "SellerFeedbackReportsGzipCsvDecoder"): _FILE,
}
