"""NetworkPolicies allow the calls that are made, and no others."""

import pytest

from tests.cluster.approvals import approved_refund
from tests.cluster.cancellations import cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.edges import EdgeWatch, can_watch
from tests.cluster.installation import Installation
from tests.cluster.load import steady_load
from tests.stack import eventually

SEEN_SECONDS = 60.0


@pytest.mark.skipif(not can_watch(), reason="needs conntrack, on the cluster's node")
async def test_each_edge_is_a_call_that_is_made_and_each_call_an_edge(
    zhiyin: Installation, edges: EdgeWatch, note: Note
) -> None:
    # Everything that the system does: chat, actions to their end, an approval, its own test; migrations came before.
    async with steady_load(await zhiyin.url("dialogue")) as load, cancelling(zhiyin, 970, 1) as cancellations:
        await zhiyin.test()
        await approved_refund(zhiyin)
        for cancellation in cancellations:
            await cancellation.confirm()
        await done_once(zhiyin, cancellations)
        await load.finish()
    allowed = edges.allowed((await zhiyin.get("networkpolicies"))["items"])
    assert ("dialogue", "intent", 8080) in allowed

    async def all_seen() -> bool:
        return edges.edges() >= allowed

    note("NetworkPolicy edges", ", ".join(f"{source}→{target}:{port}" for source, target, port in sorted(allowed)))
    try:
        await eventually(all_seen, SEEN_SECONDS, what="every edge that is allowed")
    finally:
        unused, forbidden = allowed - edges.edges(), edges.edges() - allowed
        note("allowed and never used", sorted(unused))
        note("used and not allowed", sorted(forbidden))
    assert forbidden == set(), "calls that a cluster that enforces the policies would cut"
    assert {port for _, _, port in edges.outward()} <= {53}, "pods call nobody outside but the name server"
