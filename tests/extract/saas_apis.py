"""Servers that answer as the documentation of well-known APIs says: pages, errors, rate limits, and what was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from extract_support import Asked, Reply, reply

DAY = datetime(2024, 3, 5, tzinfo=UTC)
START = int(DAY.timestamp())
MINUTE = 60
COUNT, SIZE = 5, 2
PERSON = {"email": "ann@example.com", "phone": "555-0100"}

Row = dict[str, Any]
Answer = Callable[[Asked], Reply]


def at(n: int) -> str:
    """The time of a record, an hour after the one before it."""
    return f"2024-03-05T{n:02}:30:00Z"


def epoch(n: int) -> int:
    return START + n * 3600 + 30 * MINUTE


def rows(of: Callable[[int], Row]) -> list[Row]:
    return [of(n) for n in range(COUNT)]


def only(row: Row, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names if name in row}


def part(records: Sequence[Any], begin: int, size: int = SIZE) -> tuple[Sequence[Any], int | None]:
    """A page that begins with a record, and the place of the next one; None where it was the last."""
    following = begin + size
    return records[begin:following], following if following < len(records) else None


def link(asked: Asked, following: int | None, name: str = "page") -> str | None:
    return None if following is None else f"http://{asked.headers['Host']}{asked.path}?{name}={following}"


class Salesforce:
    """REST queries by nextRecordsUrl; Bulk API 2.0 by jobs, whose CSV goes on while Sforce-Locator is not null."""

    refusal = reply([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], 403)
    error = reply([{"errorCode": "MALFORMED_QUERY", "message": "unexpected token"}], 400)

    def __init__(self) -> None:
        self.tokens, self.looks, self.soql = 0, 0, ""

    def record(self, n: int) -> Row:
        stamp = at(n).replace("Z", ".000+0000")
        times = dict.fromkeys(("SystemModstamp", "LastModifiedDate", "CreatedDate", "LastLoginDate"), stamp)
        names = {"FirstName": "Ann", "LastName": "Lee", "Name": self.name, "Username": "ann", "Phone": "555-0100"}
        attributes = {"type": "Account", "url": f"/services/data/v62.0/sobjects/Account/{n}"}
        own = {"Id": f"00{n}", "IsDeleted": n == 0, "Email": "ann@example.com", "Amount": 10.5}
        own["CloseDate"] = "2024-03-09"
        return {"attributes": attributes, **own, **names, **times}

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/services/oauth2/token":
            self.tokens += 1
            return reply({"access_token": f"t-{self.tokens}", "token_type": "Bearer"})
        if asked.headers["Authorization"] == "Bearer t-1":
            return reply([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], 401)
        if "/jobs/query" in asked.path:
            return self.bulk(asked)
        if asked.path.endswith(("/query", "/queryAll")):
            self.soql = asked.params["q"]
            wanted = "SystemModstamp >= 2024-03-05T00:00:00Z AND SystemModstamp < 2024-03-06T00:00:00Z"
            assert wanted in self.soql
        names = {"attributes", *self.soql.partition(" FROM ")[0].removeprefix("SELECT ").split(", ")}
        found = [only(row, names) for row in rows(self.record)]
        page, following = part(found, int(asked.path.rpartition("-")[2]) if "-" in asked.path else 0)
        more = {"nextRecordsUrl": f"/services/data/v62.0/query/01g-{following}"} if following else {}
        return reply({"totalSize": COUNT, "done": following is None, "records": page, **more})

    @property
    def name(self) -> str:
        return "Ann Lee" if " FROM User " in self.soql else "Acme"

    def bulk(self, asked: Asked) -> Reply:
        if asked.method == "POST":
            assert asked.json["operation"] == "queryAll"
            assert "SystemModstamp >= 2024-03-05T00:00:00Z" in asked.json["query"]
            return reply({"id": "750R0", "state": "UploadComplete"})
        if asked.path.endswith("/results"):
            page, following = part(rows(self.bulk_row), int(asked.params.get("locator", 0)))
            body = "\n".join([",".join(f'"{name}"' for name in page[0]), *(self.line(row) for row in page)]) + "\n"
            headers = {"Content-Type": "text/csv", "Sforce-Locator": str(following) if following else "null"}
            return Reply(body.encode(), 200, headers)
        self.looks += 1
        return reply({"id": "750R0", "state": "InProgress" if self.looks == 1 else "JobComplete"})

    def bulk_row(self, n: int) -> Row:
        times = dict.fromkeys(("SystemModstamp", "LastModifiedDate", "CreatedDate", "StartDateTime"), at(n))
        more = {"EndDateTime": at(n), "ActivityDate": "2024-03-05", "IsClosed": "true", "Subject": "Call, then\nwrite"}
        return {"Id": f"00{n}", "IsDeleted": "true" if n == 0 else "false", **times, **more}

    def line(self, row: Row) -> str:
        return ",".join(f'"{value}"' for value in row.values())


class HubSpot:
    """Search by POST with `paging.next.after`; owners by GET."""

    refusal = reply({"status": "error", "errorType": "RATE_LIMIT", "policyName": "SECONDLY"}, 429)
    error = reply({"status": "error", "message": "Property does not exist", "category": "VALIDATION_ERROR"}, 400)

    def record(self, n: int) -> Row:
        own = {"email": "ann@example.com", "firstname": "Ann", "lastname": "Lee"}
        own |= {"amount": "10.50", "dealname": f"d{n}"}
        own |= {"name": f"c{n}", "subject": f"s{n}", "closedate": at(n), "lifecyclestage": "lead"}
        return {"id": str(n), "properties": own, "createdAt": at(n), "updatedAt": at(n), "archived": False}

    def owner(self, n: int) -> Row:
        return {"id": str(n), "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee"}

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/crm/v3/pipelines/deals":
            return reply({"results": [{"id": str(n), "label": "Sales"} for n in range(COUNT)]})
        if asked.path == "/crm/v3/owners":
            return reply(self.page(rows(self.owner), int(asked.params.get("after", 0))))
        (span,) = asked.json["filterGroups"][0]["filters"]
        assert span["operator"] == "BETWEEN"
        low, high = int(span["value"]) // 1000, int(span["highValue"]) // 1000
        assert high - low == 6 * 3600
        wanted = asked.json["properties"]
        found = [
            {**row, "properties": only(row["properties"], wanted)}
            for n, row in enumerate(rows(self.record))
            if low <= epoch(n) <= high
        ]
        return reply({"total": len(found), **self.page(found, int(asked.json.get("after", 0)))})

    def page(self, found: Sequence[Row], begin: int) -> Row:
        page, following = part(found, begin)
        more = {"paging": {"next": {"after": str(following), "link": "?after"}}} if following else {}
        return {"results": page, **more}


class Stripe:
    """Lists by the id of the last record, and has_more."""

    refusal = reply({"error": {"type": "invalid_request_error", "code": "rate_limit"}}, 429)
    error = reply({"error": {"type": "invalid_request_error", "message": "Invalid timestamp"}}, 400)

    fields: Mapping[str, str] = {
        "charges": "created amount amount_refunded payment_method_details outcome billing_details receipt_email "
        "source shipping",
        "refunds": "created amount",
        "balance_transactions": "created available_on amount fee net",
        "invoices": "created period_end amount_due amount_paid total customer_email customer_name customer_phone "
        "customer_address customer_shipping",
        "payouts": "created arrival_date amount",
        "subscriptions": "created",
        "customers": "created email name phone address shipping",
        "products": "created updated",
        "prices": "created",
        "events": "created data",
    }

    def record(self, n: int) -> Row:
        card = {"payment_method_details": {"card": {"brand": "visa"}}, "outcome": {"type": "authorized"}}
        sums = ("amount", "amount_refunded", "fee", "net", "amount_due", "amount_paid", "total")
        money = dict.fromkeys(sums, 100 + n)
        people = {"billing_details": PERSON, "receipt_email": "ann@example.com", "source": PERSON, "shipping": PERSON}
        people |= {"email": "ann@example.com", "name": "Ann Lee", "phone": "555-0100", "address": {"city": "Bonn"}}
        people |= {"customer_email": "ann@example.com", "customer_name": "Ann Lee", "customer_phone": "555-0100"}
        people |= {"customer_address": {"city": "Bonn"}, "customer_shipping": PERSON}
        times = dict.fromkeys(("created", "available_on", "arrival_date", "updated", "period_end"), epoch(n))
        event = {"data": {"object": {"id": f"ch_{n}", "object": "charge", "receipt_email": "ann@example.com"}}}
        return {"id": f"x_{n}", "object": "thing", **card, **money, **people, **times, **event}

    def __call__(self, asked: Asked) -> Reply:
        assert asked.headers["Stripe-Version"] == "2024-06-20"
        if "created[gte]" in asked.params:
            assert (int(asked.params["created[gte]"]), int(asked.params["created[lt]"])) == (START, START + 86400)
        begin = int(asked.params.get("starting_after", "x_-1").removeprefix("x_")) + 1
        names = ["id", "object", *self.fields[asked.path.rpartition("/")[2]].split()]
        page, following = part([only(row, names) for row in rows(self.record)], begin)
        return reply({"object": "list", "data": page, "has_more": following is not None})


class GoogleAnalytics:
    """Reports by POST with offset and limit; values are lists, and an empty report has no rows."""

    refusal = reply({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Exhausted tokens"}}, 429)
    error = reply({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no access"}}, 403)

    def __call__(self, asked: Asked) -> Reply:
        assert asked.path == "/v1beta/properties/123456789:runReport"
        (span,) = asked.json["dateRanges"]
        assert span == {"startDate": "2024-03-05", "endDate": "2024-03-05"}
        names = [one["name"] for one in asked.json["dimensions"]]
        found = [
            {
                "dimensionValues": [{"value": "20240305" if name == "date" else f"{name}-{n}"} for name in names],
                "metricValues": [{"value": str(10 * number + n)} for number in range(len(asked.json["metrics"]))],
            }
            for n in range(COUNT)
        ]
        page, _ = part(found, asked.json["offset"])
        return reply({"rows": page, "rowCount": COUNT, "kind": "analyticsData#runReport"})


class GitHub:
    """Lists by the Link header; a rate limit is a 403 whose header says when it ends."""

    refusal = reply({"message": "API rate limit exceeded"}, 403, X_RateLimit_Remaining="0", X_RateLimit_Reset="1")
    error = reply({"message": "Not Found"}, 404)

    def record(self, n: int) -> Row:
        user = {"login": "ann", "email": "ann@example.com"}
        times = dict.fromkeys(("updated_at", "created_at"), at(n))
        return {"id": n, "title": f"t{n}", "user": user, **times}

    def repository(self, n: int) -> Row:
        owner = {"login": "ann", "email": "ann@example.com"}
        return {"id": n, "name": f"r{n}", "owner": owner, "license": None, "pushed_at": at(n)}

    def pull(self, n: int) -> Row:
        refs = {"base": {"ref": "main", "repo": {}}, "head": {"ref": f"b{n}", "sha": f"s{n}"}}
        return {**self.record(n), **refs}

    def release(self, n: int) -> Row:
        return {"id": n, "author": {"login": "ann"}, "published_at": at(n)}

    def commit(self, n: int) -> Row:
        person = {"name": "Ann", "email": "ann@example.com", "date": at(n)}
        commit = {"author": person, "committer": person, "message": f"m{n}"}
        return {"sha": f"c{n}", "commit": commit, "author": {"login": "ann"}, "committer": {"login": "ann"}}

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.startswith("/repos/apache/r1/"):
            status = {"issues": 410, "commits": 409}.get(asked.path.rpartition("/")[2])
            if status:
                return reply({"message": "not here"}, status)
        if asked.path.startswith("/repos/") and asked.path.split("/")[3] not in ("r0", "r1"):
            return reply([])
        kinds = {"commits": self.commit, "releases": self.release, "pulls": self.pull, "repos": self.repository}
        found = rows(kinds.get(asked.path.rpartition("/")[2], self.record))
        if asked.path.startswith("/repos/apache/r1/"):
            # ids are of all repositories
            found = [{**row, "id": row.get("id", 0) + 100} for row in found]
        page, following = part(found, int(asked.params.get("page", 0)))
        target = link(asked, following)
        return reply(page, **({"Link": f'<{target}>; rel="next"'} if target else {}))


class Shopify:
    """GraphQL with connections; a query that costs too much is a 200 with an error."""

    refusal = reply({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]})
    error = reply({"errors": [{"message": "Field 'x' doesn't exist on type 'Order'"}]})

    def record(self, n: int) -> Row:
        money = {"shopMoney": {"amount": f"{n}.50"}}
        totals = ("totalPriceSet", "totalTaxSet", "totalDiscountsSet", "totalRefundedSet")
        names = {"firstName": "Ann", "lastName": "Lee", **PERSON, "name": f"#{n}", "title": f"t{n}"}
        times = dict.fromkeys(("createdAt", "updatedAt", "processedAt"), at(n))
        counts = {"numberOfOrders": str(n), "totalInventory": n, "amountSpent": {"amount": f"{n}.25"}}
        own = {"id": f"gid://shopify/Thing/{n}", "customer": {"id": "gid://shopify/Customer/1"}, **names, **times}
        return {**own, **dict.fromkeys(totals, money), **counts}

    def order_line(self, n: int, order: str) -> Row:
        money = {"shopMoney": {"amount": f"{n}.50"}}
        own = {"id": f"{order}/line/{n}", "quantity": n, "sku": f"s{n}", "product": {"id": "p"}, "variant": None}
        return {**own, "originalUnitPriceSet": money, "discountedTotalSet": money}

    def __call__(self, asked: Asked) -> Reply:
        assert asked.headers["X-Shopify-Access-Token"] == "s3cret"
        variables, query = asked.json["variables"], asked.json["query"]
        if "order(id: $order)" in query:
            if variables["order"].endswith("/4"):
                return reply({"data": {"order": None}})
            found, name = [self.order_line(n, variables["order"]) for n in range(COUNT)], "lineItems"
        else:
            wanted = "updated_at:>='2024-03-05T00:00:00Z' AND updated_at:<'2024-03-06T00:00:00Z'"
            assert variables["query"] == wanted
            words = set(re.findall(r"\w+", query))
            found = [only(row, words) for row in rows(self.record)]
            name = next(name for name in ("orders", "customers", "products") if f"{name}(" in query)
        page, following = part(found, int(variables.get("after", 0)))
        connection = {"nodes": page, "pageInfo": {"endCursor": str(following), "hasNextPage": following is not None}}
        return reply({"data": {"order": {name: connection}} if name == "lineItems" else {name: connection}})


class Zendesk:
    """Incremental exports, whose cursor is there at the end too; lists by links of cursor pages."""

    refusal = reply({"error": "APIRateLimitExceeded"}, 429, Retry_After="0")
    error = reply({"error": "InvalidValue", "description": "start_time is too recent"}, 422)

    fields: Mapping[str, str] = {
        "tickets": "status recipient via updated_at created_at",
        "users": "name email phone photo notes details signature updated_at created_at",
        "ticket_events": "created_at",
    }

    def record(self, n: int) -> Row:
        own = {"id": n, "status": "deleted" if n == 0 else "open", "recipient": "ann@example.com", "name": "Ann Lee"}
        via = {"via": {"channel": "email", "source": {"from": {"address": "ann@example.com"}}}}
        people = {**PERSON, "photo": {"url": "x"}, "notes": "n", "details": "d", "signature": "s"}
        return {**own, **via, **people, "updated_at": at(n), "created_at": at(n)}

    def __call__(self, asked: Asked) -> Reply:
        if "start_time" in asked.params:
            assert int(asked.params["start_time"]) == START
        name = asked.path.removesuffix("/cursor.json").removesuffix(".json").rpartition("/")[2]
        begin = int(asked.params.get("cursor", asked.params.get("page", 0)))
        assert begin < COUNT, "asked past the end of the stream"
        names = ["id", *self.fields.get(name, "updated_at created_at").split()]
        page, following = part([only(row, names) for row in rows(self.record)], begin)
        ends = {"end_of_stream": following is None, "count": len(page)}
        if asked.path.endswith("/cursor.json"):
            return reply({name: page, "after_cursor": str(following or COUNT), **ends})
        if "/incremental/" in asked.path:
            return reply({name: page, "next_page": link(asked, following or COUNT), **ends})
        links = {"next": link(asked, following), "prev": None}
        return reply({name: page, "meta": {"has_more": following is not None}, "links": links})


class Jira:
    """JQL by nextPageToken; other lists by startAt, with a total or isLast."""

    refusal = reply({"message": "Rate limit exceeded"}, 429, Retry_After="0")
    error = reply({"errorMessages": ["Field 'x' does not exist"], "errors": {}}, 400)

    def record(self, n: int) -> Row:
        person = {"accountId": "a1", "emailAddress": "ann@example.com", "displayName": "Ann Lee"}
        stamp = at(n).replace("Z", ".000+0000")
        fields = {"summary": f"s{n}", "status": {"name": "Done"}, "project": {"key": "P"}, "assignee": person}
        fields |= {"updated": stamp, "created": stamp, "issuetype": {"name": "Bug"}, "resolutiondate": None}
        times = dict.fromkeys(("started", "created", "updated", "startDate", "endDate"), stamp)
        people = dict.fromkeys(("author", "updateAuthor", "lead"), person)
        return {"id": str(n), "key": f"P-{n}", "fields": fields, "timeSpentSeconds": 60 * n, **times, **people}

    fields: Mapping[str, str] = {
        "worklog": "author updateAuthor started timeSpentSeconds",
        "comment": "author updateAuthor created updated",
        "search": "key lead",
        "sprint": "startDate endDate",
    }

    def user(self, n: int) -> Row:
        names = {"emailAddress": "ann@example.com", "displayName": "Ann Lee", "avatarUrls": {"1": "u"}}
        return {"accountId": f"a{n}", **names}

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/rest/api/3/search/jql":
            assert asked.params["jql"].startswith('updated >= "2024/03/05 00:00" and updated <= "2024/03/06 00:00"')
            found = [{name: row[name] for name in ("id", "key", "fields")} for row in rows(self.record)]
            page, following = part(found, int(asked.params.get("nextPageToken", 0)))
            more = {"nextPageToken": str(following)} if following else {}
            return reply({"issues": page, "isLast": following is None, **more})
        begin = int(asked.params["startAt"])
        if asked.path == "/rest/api/3/users/search":
            return reply(part(rows(self.user), begin)[0])
        return self.listed(asked.path.split("/"), begin)

    def listed(self, path: list[str], begin: int) -> Reply:
        if path[-1] == "sprint" and path[-2] == "1":
            return reply({"errorMessages": ["The board does not support sprints"]}, 400)
        if path[-1] in ("worklog", "comment") and path[-2] == "4":
            return reply({"errorMessages": ["Issue does not exist"]}, 404)
        above = path[-2] if path[-1] in ("worklog", "comment") else ""
        names = ["id", *self.fields.get(path[-1], "").split()]
        found = [{**only(row, names), "id": above + row["id"]} for row in rows(self.record)]
        page, following = part(found, begin)
        name = {"worklog": "worklogs", "comment": "comments"}.get(path[-1], "values")
        ends = {"isLast": following is None} if name == "values" else {"total": COUNT}
        return reply({"startAt": begin, "maxResults": SIZE, name: page, **ends})


class Slack:
    """Web API: errors have status 200 and `ok: false`, an empty next_cursor is the end."""

    refusal = reply({"ok": False, "error": "ratelimited"}, 429, Retry_After="0")
    error = reply({"ok": False, "error": "invalid_auth"})

    def channel(self, n: int) -> Row:
        topic = {"topic": {"value": f"t{n}"}, "purpose": {"value": "p"}}
        return {"id": f"C{n}", "name": f"c{n}", "created": epoch(n), **topic}

    def user(self, n: int) -> Row:
        profile = {"email": "ann@example.com", "title": "Dr", "phone": "555-0100"}
        return {"id": f"U{n}", "name": "ann", "real_name": "Ann Lee", "profile": profile, "updated": epoch(n)}

    def message(self, n: int) -> Row:
        stamp = f"{epoch(n)}.00021{n}"
        thread = {"thread_ts": stamp, "reply_count": 5} if n == 3 else {}
        return {"type": "message", "user": "U1", "text": f"hi {n}", "ts": stamp, "user_profile": PERSON, **thread}

    def reply_to(self, n: int) -> Row:
        return {**self.message(n), "ts": f"{epoch(20)}.00000{n}", "thread_ts": f"{epoch(3)}.000213"}

    def __call__(self, asked: Asked) -> Reply:
        assert asked.headers["Authorization"] == "Bearer s3cret"
        lists = {
            "/api/conversations.list": ("channels", self.channel),
            "/api/users.list": ("members", self.user),
            "/api/conversations.history": ("messages", self.message),
            "/api/conversations.replies": ("messages", self.reply_to),
        }
        name, of = lists[asked.path]
        if asked.params.get("channel") == "C1":
            return reply({"ok": False, "error": "not_in_channel"})
        if name == "messages" and "ts" not in asked.params:
            assert (asked.params["oldest"], asked.params["latest"]) == (str(START), str(START + 86400))
        page, following = part(rows(of), int(asked.params.get("cursor", 0)))
        more = {"has_more": following is not None} if name == "messages" else {}
        return reply({"ok": True, name: page, "response_metadata": {"next_cursor": str(following or "")}, **more})


class Notion:
    """Search by POST; lists by next_cursor and has_more."""

    refusal = reply({"object": "error", "status": 429, "code": "rate_limited"}, 429, Retry_After="0")
    error = reply({"object": "error", "status": 400, "code": "validation_error", "message": "bad"}, 400)

    def record(self, n: int) -> Row:
        # the last one was edited before the day
        edited = at(n) if n < COUNT - 1 else "2024-02-01T00:00:00Z"
        person = {"person": {"email": "ann@example.com"}, "name": "Ann Lee", "avatar_url": "https://x.example/a.png"}
        own = {"parent": {"type": "workspace"}, "last_edited_by": {"id": "u1"}}
        return {"object": "page", "id": f"p{n}", "last_edited_time": edited, "created_time": at(n), **own, **person}

    def __call__(self, asked: Asked) -> Reply:
        assert asked.headers["Notion-Version"] == "2025-09-03"
        pages = ("id", "object", "last_edited_time", "created_time", "parent", "last_edited_by")
        people = ("id", "object", "person", "name", "avatar_url")
        found, given = [only(row, people) for row in rows(self.record)], asked.params
        if asked.path == "/v1/search":
            given = asked.json
            assert given["filter"]["value"] in ("page", "data_source")
            found = [only(row, pages) for row in rows(self.record)]
        elif "/blocks/" in asked.path:
            page_id = asked.path.split("/")[3]
            if page_id == "p1":
                return reply({"object": "error", "status": 404, "code": "object_not_found"}, 404)
            found = [{**only(row, pages), "id": f"{page_id}-{row['id']}"} for row in rows(self.record)]
        page, following = part(found, int(given.get("start_cursor", 0)))
        cursor = None if following is None else str(following)
        return reply({"object": "list", "results": page, "next_cursor": cursor, "has_more": following is not None})


APIS: Mapping[str, type] = {
    "salesforce": Salesforce,
    "hubspot": HubSpot,
    "stripe": Stripe,
    "google_analytics": GoogleAnalytics,
    "github": GitHub,
    "shopify": Shopify,
    "zendesk": Zendesk,
    "jira": Jira,
    "slack": Slack,
    "notion": Notion,
}


def busy_at_first(api: Any) -> Answer:
    """The API, which refuses the first request of each path for its rate limit, as it documents that."""
    seen: set[tuple[str, bytes]] = set()

    def answer(asked: Asked) -> Reply:
        # a GraphQL API has one path for all
        what = (asked.path, json.dumps(asked.json.get("query")).encode() if b'"query"' in asked.body else b"")
        if what not in seen and "oauth2" not in asked.path and asked.method != "PATCH":
            seen.add(what)
            return api.refusal
        return api(asked)

    return answer
