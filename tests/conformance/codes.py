"""What schemathesis cannot know of the gateway: which error codes a request may have caused, and useful dates."""

import datetime

import schemathesis
from hypothesis import strategies
from schemathesis.graphql import nodes

# Whatever an admin asks for, every other code is a fault of the gateway.
CAUSED_BY_THE_REQUEST = {"BAD_REQUEST", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}

TODAY = datetime.date.today()
near = strategies.dates(TODAY - datetime.timedelta(days=60), TODAY + datetime.timedelta(days=10))
schemathesis.graphql.scalar("Date", (near | strategies.dates()).map(str).map(nodes.String))


@schemathesis.check
def errors_are_the_requests(context, response, case):
    for error in response.json().get("errors", []):
        code = error.get("extensions", {}).get("code")
        assert code in CAUSED_BY_THE_REQUEST, f"{code}: {error['message']}"
