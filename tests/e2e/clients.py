"""Purges through the official Python clients of Cloudflare and Fastly: one JSON command a line, one JSON answer a line.

Arguments: Larder's address, and the token.
"""

import json
import sys

import cloudflare
import fastly
from fastly.api.purge_api import PurgeApi
from fastly.model.purge_response import PurgeResponse

ADDRESS, TOKEN = sys.argv[1:]


def by_cloudflare(what: dict) -> dict:
    client = cloudflare.Cloudflare(api_token=TOKEN, base_url=f"http://{ADDRESS}/client/v4", max_retries=0)
    try:
        answer = client.cache.purge(zone_id="023e105f4ecef8ad9ca31a8372d0c353", **what)
    except cloudflare.APIStatusError as error:
        return {"status": error.status_code, "error": str(error)}
    return {"id": answer.id}


def by_fastly(what: dict) -> dict:
    configuration = fastly.Configuration(host=f"http://{ADDRESS}")
    configuration.api_token = TOKEN
    if "purge_response" in what:
        what["purge_response"] = PurgeResponse(**what["purge_response"])
    with fastly.ApiClient(configuration) as client:
        call = getattr(PurgeApi(client), what.pop("call"))
        try:
            return call(**what).to_dict()
        except fastly.ApiException as error:
            return {"status": error.status, "error": str(error.body)}


for line in sys.stdin:
    client, what = json.loads(line)
    print(json.dumps({"cloudflare": by_cloudflare, "fastly": by_fastly}[client](what)), flush=True)
