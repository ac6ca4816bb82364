import asyncio

from tests.customers import Customer


async def test_rest_long_poll_and_stream_give_the_same(guest: Customer) -> None:
    async with guest.stream() as live:
        last = (await guest.events())[-1]["seq"]
        poll = asyncio.create_task(guest.calls.get(f"{guest.path}/events?after={last}&wait=20", token=guest.token))
        await guest.say("where is my parcel")
        first = (await poll).body["events"][0]
        events = await guest.events()
        assert first == events[last]
        assert [await asyncio.wait_for(live.get(), 10) for _ in events] == events
    async with guest.stream(after=last) as resumed:
        assert (await asyncio.wait_for(resumed.get(), 10))["seq"] == last + 1
