"""`elt new` against APIs of well-known shapes: what it writes reads every record."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from cli_support import Project

from elt_factory.config.loading import load_config
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window, moment_in
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.read import read

ROWS = [{"id": f"r{number:03}", "name": f"Row {number}"} for number in range(57)]
SIZE = 10
PAGES = math.ceil(len(ROWS) / SIZE)


def cut(begin: int, size: int = SIZE):
    return ROWS[begin : begin + size]


def after(query, name):
    ids = [row["id"] for row in ROWS]
    return ids.index(query[name]) + 1 if query.get(name) in ids else 0


def number_of(query, first=1):
    # who asks for a page that is not a number gets the first one
    return int(query["page"]) if query.get("page", "").isdigit() else first


def stripe(query):
    at = after(query, "starting_after")
    return {"object": "list", "data": cut(at), "has_more": at + SIZE < len(ROWS)}


def jira(query):
    at, size = int(query.get("startAt", 0)), min(SIZE, int(query.get("maxResults", SIZE)))
    return {"startAt": at, "maxResults": size, "total": len(ROWS), "issues": cut(at, size)}


def airtable(query):
    at = int(query.get("offset", "itr/0").partition("/")[2] or 0)
    return {"records": cut(at), **({"offset": f"itr/{at + SIZE}"} if at + SIZE < len(ROWS) else {})}


def zendesk(query):
    at = int(query.get("page[after]", "c0")[1:])
    more = at + SIZE < len(ROWS)
    return {"tickets": cut(at), "meta": {"has_more": more, "after_cursor": f"c{at + SIZE}" if more else None}}


def spring(query):
    page = number_of(query, 0)
    head = {"number": page, "totalPages": PAGES, "totalElements": len(ROWS), "last": page + 1 >= PAGES}
    return {"content": cut(page * SIZE), **head}


def odata(query):
    at = int(query.get("$skip", 0))
    more = {"@odata.nextLink": f"/odata?$skip={at + SIZE}"} if at + SIZE < len(ROWS) else {}
    return {"value": cut(at), **more}


def wordpress(query):
    return cut((number_of(query) - 1) * SIZE)


def slack(query):
    at = int(query.get("cursor", "c0")[1:])
    following = f"c{at + SIZE}" if at + SIZE < len(ROWS) else ""
    return {"ok": True, "members": cut(at), "response_metadata": {"next_cursor": following}}


def django(query):
    page = number_of(query)
    following = f"/django?page={page + 1}" if page < PAGES else None
    return {"count": len(ROWS), "next": following, "previous": None, "results": cut((page - 1) * SIZE)}


def github(query):
    page = number_of(query)
    links = f'<{{base}}/github?page={page + 1}>; rel="next", <{{base}}/github?page={PAGES}>; rel="last"'
    return cut((page - 1) * SIZE), links if page < PAGES else ""


def shopify(query):
    at = int(query.get("page_info", "p0")[1:])
    before = f'<{{base}}/shopify?page_info=p{max(0, at - SIZE)}&limit={SIZE}>; rel="previous"'
    after = f'<{{base}}/shopify?page_info=p{at + SIZE}&limit={SIZE}>; rel="next"'
    links = [*([before] if at else []), *([after] if at + SIZE < len(ROWS) else [])]
    return {"orders": cut(at)}, ", ".join(links)


def hubspot(query):
    at = int(query.get("after", 0))
    more = {"paging": {"next": {"after": str(at + SIZE), "link": f"?after={at + SIZE}"}}}
    return {"results": [with_properties(row) for row in cut(at)], **(more if at + SIZE < len(ROWS) else {})}


def with_properties(row):
    return {"id": row["id"], "properties": {"name": row["name"]}, "archived": False}


def salesforce(query):
    """Its next page is a path of its own."""
    at = int(query["path"] or 0)
    more = at + SIZE < len(ROWS)
    following = {"nextRecordsUrl": f"/salesforce/{at + SIZE}"} if more else {}
    return {"totalSize": len(ROWS), "done": not more, **following, "records": cut(at)}


def twilio(query):
    page = int(query.get("Page", 0))
    here = "/twilio?PageSize=10&Page="
    following = f"{here}{page + 1}&PageToken=PT{page + 1}" if page + 1 < PAGES else None
    links = {"first_page_uri": f"{here}0", "next_page_uri": following, "previous_page_uri": None, "uri": here}
    return {"messages": cut(page * SIZE), "page": page, "page_size": SIZE, "end": page * SIZE + 9, **links}


def ckan(query):
    """Its next link leads on past the end, to a page without records."""
    at = int(query.get("offset", 0))
    links = {"start": "/ckan?limit=10", "next": f"/ckan?limit=10&offset={at + SIZE}"}
    fields = [{"id": "id", "type": "text"}, {"id": "name", "type": "text"}]
    result = {"include_total": True, "fields": fields, "records": cut(at), "_links": links, "total": len(ROWS)}
    return {"help": "{base}/help", "success": True, "result": result}


def socrata(query):
    return cut(int(query.get("$offset", 0)), min(SIZE, int(query.get("$limit", SIZE))))


def algolia(query):
    page = number_of(query, 0)
    counts = {"nbHits": len(ROWS), "page": page, "nbPages": PAGES, "hitsPerPage": SIZE}
    return {
        "hits": cut(page * SIZE),
        **counts,
        "exhaustiveNbHits": True,
        "query": "",
        "params": "",
        "processingTimeMS": 1,
    }


def contentful(query):
    at, size = int(query.get("skip", 0)), min(SIZE, int(query.get("limit", SIZE)))
    return {"sys": {"type": "Array"}, "total": len(ROWS), "skip": at, "limit": size, "items": cut(at, size)}


def mailchimp(query):
    at, size = int(query.get("offset", 0)), min(SIZE, int(query.get("count", SIZE)))
    links = [{"rel": rel, "href": "{base}/mailchimp", "method": "GET"} for rel in ("self", "parent", "create")]
    return {"members": cut(at, size), "list_id": "l", "total_items": len(ROWS), "_links": links}


def jsonapi(query):
    page = int(query.get("page[number]", 1))
    links = {"self": "{base}/jsonapi", "first": "{base}/jsonapi", "last": f"{{base}}/jsonapi?page%5Bnumber%5D={PAGES}"}
    more = {"next": f"{{base}}/jsonapi?page%5Bnumber%5D={page + 1}"} if page < PAGES else {}
    included = [{"type": "people", "id": str(number)} for number in range(3)]
    data = [with_attributes(row) for row in cut((page - 1) * SIZE)]
    return {"data": data, "included": included, "links": {**links, **more}, "jsonapi": {"version": "1.0"}}


def with_attributes(row):
    return {"type": "rows", "id": row["id"], "attributes": {"name": row["name"]}}


def notion(query):
    at = after(query, "start_cursor") and after(query, "start_cursor") - 1
    more = at + SIZE < len(ROWS)
    following = ROWS[at + SIZE]["id"] if more else None
    return {
        "object": "list",
        "results": cut(at),
        "next_cursor": following,
        "has_more": more,
        "type": "user",
        "user": {},
    }


def box(query):
    at = int(query.get("marker", "m0")[1:])
    return {"entries": cut(at), "limit": SIZE, "next_marker": f"m{at + SIZE}" if at + SIZE < len(ROWS) else ""}


def kubernetes(query):
    at = int(query.get("continue", "c0")[1:])
    more = {"continue": f"c{at + SIZE}", "remainingItemCount": len(ROWS) - at - SIZE} if at + SIZE < len(ROWS) else {}
    return {"kind": "RowList", "metadata": {"resourceVersion": "1", **more}, "items": cut(at)}


def iam(query):
    at = int(query.get("Marker", "m0")[1:])
    more = at + SIZE < len(ROWS)
    return {"Users": cut(at), "IsTruncated": more, **({"Marker": f"m{at + SIZE}"} if more else {})}


def mediawiki(query):
    at = int(query.get("apcontinue", "p0")[1:])
    more = {"continue": {"apcontinue": f"p{at + SIZE}", "continue": "-||"}} if at + SIZE < len(ROWS) else {}
    return {**more, "query": {"allpages": cut(at)}}


def zendesk_export(query):
    """Its last cursor leads to itself."""
    at = int(query.get("cursor", "c0")[1:])
    end = min(at + SIZE, len(ROWS))
    return {
        "tickets": cut(at),
        "after_cursor": f"c{end}",
        "before_cursor": None,
        "end_of_stream": at + SIZE >= len(ROWS),
    }


def fhir(query):
    at = int(query.get("_getpagesoffset", 0))
    links = [{"relation": "self", "url": "{base}/fhir"}]
    links += (
        [{"relation": "next", "url": f"{{base}}/fhir?_getpagesoffset={at + SIZE}"}] if at + SIZE < len(ROWS) else []
    )
    return {"resourceType": "Bundle", "total": len(ROWS), "link": links, "entry": cut(at)}


def odata_2(query):
    at = int(query.get("$skiptoken", 0))
    more = {"__next": f"{{base}}/odata_2?$skiptoken={at + SIZE}"} if at + SIZE < len(ROWS) else {}
    return {"d": {"results": cut(at), **more}}


def scim(query):
    """It counts from 1."""
    at, size = max(1, int(query.get("startIndex", 1))), min(SIZE, int(query.get("count", SIZE)))
    return {"totalResults": len(ROWS), "startIndex": at, "itemsPerPage": SIZE, "Resources": cut(at - 1, size)}


def usgs(query):
    at, size = int(query.get("offset", 1)), min(SIZE, int(query.get("limit", SIZE)))
    return {"metadata": {"limit": size, "offset": at, "count": SIZE}, "features": cut(at - 1, size) if at else []}


def first_shown(query):
    """It counts from 0, and says from 1 what it shows; other parts of it have such names, too."""
    at, size = int(query.get("from", 0)), min(SIZE, int(query.get("size", SIZE)))
    return {"results": cut(at, size), "from": at + 1, "total": len(ROWS), "facets": {"offset": True, "skip": 1}}


def faceted(query):
    at, size = int(query.get("offset", 0)), min(SIZE, int(query.get("limit", SIZE)))
    return {"results": cut(at, size), "offset": at, "facets": {"price": {"offset": 1}}}


def arcgis(query):
    at, size = int(query.get("resultOffset", 0)), min(SIZE, int(query.get("resultRecordCount", SIZE)))
    more = {"exceededTransferLimit": True} if at + size < len(ROWS) else {}
    return {"objectIdFieldName": "id", "features": cut(at, size), **more}


def zoom(query):
    page = int(query.get("page_number", 1))
    return {"page_count": PAGES, "page_number": page, "page_size": SIZE, "users": cut((page - 1) * SIZE)}


def strapi(query):
    page = int(query.get("pagination[page]", 1))
    counts = {"page": page, "pageSize": SIZE, "pageCount": PAGES, "total": len(ROWS)}
    return {"data": cut((page - 1) * SIZE), "meta": {"pagination": counts}}


def magento(query):
    """It sends its last page for every number past that."""
    page = int(query.get("searchCriteria[currentPage]", 1))
    said = {"filter_groups": [], "page_size": SIZE, "current_page": page}
    return {"items": cut((min(page, PAGES) - 1) * SIZE), "search_criteria": said, "total_count": len(ROWS)}


def elasticsearch(query):
    at, size = int(query.get("from", 0)), min(SIZE, int(query.get("size", SIZE)))
    hits = {"total": {"value": len(ROWS), "relation": "eq"}, "max_score": 1.0}
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    found = [as_hit(row) for row in cut(at, size)]
    return {"took": 3, "timed_out": False, "_shards": shards, "hits": {**hits, "hits": found}}


def as_hit(row):
    return {"_index": "rows", "_id": row["id"], "_score": 1.0, "_source": row}


def hateoas(query):
    page = number_of(query, 0)
    links = {
        rel: {"href": f"{{base}}/hateoas?page={at}"} for rel, at in (("first", 0), ("self", page), ("last", PAGES - 1))
    }
    more = {"next": {"href": f"{{base}}/hateoas?page={page + 1}&size=10"}} if page + 1 < PAGES else {}
    counts = {"size": SIZE, "totalElements": len(ROWS), "totalPages": PAGES, "number": page}
    return {"_embedded": {"orders": cut(page * SIZE)}, "_links": {**links, **more}, "page": counts}


def pipedrive(query):
    at = int(query.get("start", 0))
    more = at + SIZE < len(ROWS)
    paging = {"start": at, "limit": SIZE, "more_items_in_collection": more}
    following = {"next_start": at + SIZE} if more else {}
    return {"success": True, "data": cut(at), "additional_data": {"pagination": {**paging, **following}}}


def google(query):
    at = int(query.get("pageToken", "~0")[1:])
    more = {"nextPageToken": f"~{at + SIZE}"} if at + SIZE < len(ROWS) else {}
    return {"kind": "drive#fileList", **more, "incompleteSearch": False, "files": cut(at)}


def square(query):
    at = int(query.get("cursor", "c0")[1:])
    return {"payments": cut(at), **({"cursor": f"c{at + SIZE}"} if at + SIZE < len(ROWS) else {})}


def intercom(query):
    at = after(query, "starting_after")
    more = (
        {"next": {"page": at // SIZE + 2, "starting_after": ROWS[at + SIZE - 1]["id"]}} if at + SIZE < len(ROWS) else {}
    )
    pages = {"type": "pages", **more, "page": at // SIZE + 1, "per_page": SIZE, "total_pages": PAGES}
    return {"type": "list", "data": cut(at), "total_count": len(ROWS), "pages": pages}


def servicenow(query):
    at = int(query.get("sysparm_offset", 0))
    following = f'<{{base}}/servicenow?sysparm_limit=10&sysparm_offset={at + SIZE}>;rel="next"'
    return {"result": cut(at)}, following if at + SIZE < len(ROWS) else ""


def hidden(query):
    """Says that there is more, and takes no parameter that anyone would think of."""
    return {"items": cut(0), "total": len(ROWS)}


_FIRST = (stripe, jira, airtable, zendesk, spring, odata, wordpress, slack, django, github, shopify, hubspot)
_MORE = (salesforce, twilio, ckan, socrata, algolia, contentful, mailchimp, jsonapi, notion, elasticsearch, hateoas)
_TOKENS = (box, kubernetes, iam, mediawiki, zendesk_export, fhir, odata_2)
_NUMBERS = (scim, usgs, first_shown, faceted, arcgis, zoom, strapi, magento)
_REST = (pipedrive, google, square, intercom, servicenow)
SHAPES = {shape.__name__: shape for shape in (*_FIRST, *_MORE, *_REST, *_TOKENS, *_NUMBERS)}
WRAPPED = {"hubspot": with_properties, "jsonapi": with_attributes, "elasticsearch": as_hit}


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        parts, base = urlsplit(self.path), f"http://{self.headers['Host']}"
        shape, _, rest = parts.path[1:].partition("/")
        answer = {**SHAPES, "hidden": hidden}[shape]({"path": rest, **dict(parse_qsl(parts.query))})
        content, links = answer if isinstance(answer, tuple) else (answer, "")
        body = json.dumps(content).replace("{base}", base).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if links:
            self.send_header("Link", links.replace("{base}", base))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keep the test's screen quiet."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_reads_every_record(project: Project, api: str, shape: str, tmp_path):
    result = project.elt("new", "rows", "--url", f"{api}/{shape}")
    assert result.exit_code == 0, (result.output, result.exception)
    source = load_config(project.configs / "rows.yaml", project.configs).config
    (table,) = source.tables
    connection = Connection("rows_api", "http", host=api)
    window = Window(moment_in("2013-01-01", "UTC"), moment_in("2013-01-02", "UTC"))
    spool = read(ReadRequest(source, table, window, "l", connection, tmp_path, tmp_path, lambda _: None))
    found = [json.loads(line) for file in spool.files for line in file.read_bytes().splitlines()]
    assert found == [WRAPPED.get(shape, dict)(row) for row in ROWS]


def test_a_response_that_says_there_is_more_is_told_in_a_comment(project: Project, api: str):
    assert project.elt("new", "rows", "--url", f"{api}/hidden").exit_code == 0
    text = (project.configs / "rows.yaml").read_text()
    assert 'no pagination found, but "total" in the response says 57 records, but 10 were read: loads fail' in text
