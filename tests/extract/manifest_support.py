"""A manifest of the tests' own wording: one stream by pages of its changes."""

from __future__ import annotations

MANIFEST = """\
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [users]}
streams:
  - type: DeclarativeStream
    name: users
    primary_key: [id]
    schema_loader:
      type: InlineSchemaLoader
      schema:
        type: object
        properties: {id: {type: integer}, zip: {type: string}, at: {type: string}}
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['url'] }}"
        path: /users
        http_method: GET
        authenticator: {type: BearerAuthenticator, api_token: "{{ config['token'] }}"}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [items]}}
      paginator:
        type: DefaultPaginator
        page_token_option: {type: RequestOption, inject_into: request_parameter, field_name: page}
        pagination_strategy: {type: PageIncrement, start_from_page: 1, page_size: 2}
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: at
      datetime_format: "%Y-%m-%d"
      start_datetime: {type: MinMaxDatetime, datetime: "{{ config['since'] }}", datetime_format: "%Y-%m-%d"}
      end_datetime: {type: MinMaxDatetime, datetime: "2013-01-31", datetime_format: "%Y-%m-%d"}
      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: from}
spec:
  type: Spec
  connection_specification:
    type: object
    required: [url, token]
    additionalProperties: false
    properties:
      url: {type: string}
      token: {type: string, airbyte_secret: true}
      since: {type: string, default: 2013-01-01}
"""
CODE = """\
      record_selector:
        type: RecordSelector
        extractor: {type: CustomRecordExtractor, class_name: source_shop.components.Rows}
"""
SELECTOR = "      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [items]}}\n"
