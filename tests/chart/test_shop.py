"""The demo shop's own system: there where it is wanted only, reached by business and its worker only."""

import json

import pytest

from tests.chart.chart import environment, render
from tests.chart.test_network import edges
from tests.chart.variants import COMPONENTS, rendered
from tests.kubernetes import CommandFailed

SECRET = {"secretKeyRef": {"name": "zhiyin-secrets", "key": "shop-key"}}


@pytest.mark.parametrize("variant", ["default", "demo"])
def test_without_being_asked_for_nothing_of_it_is_there(variant: str) -> None:
    chart = rendered(variant)
    assert not chart.where(lambda each: each["metadata"]["name"] == "zhiyin-shop")
    assert "shop-key" not in chart.get("Secret", "secrets")["data"]
    for component in COMPONENTS:
        assert "ZHIYIN_CONNECTORS" not in environment(chart.container(component))


def test_business_and_its_worker_know_where_it_is_and_have_its_key() -> None:
    chart = rendered("demo shop")
    for component in COMPONENTS:
        found = environment(chart.container(component))
        if component not in ("business", "worker"):
            assert not {"ZHIYIN_CONNECTORS", "ZHIYIN_SECRET_DEFAULT_SHOP_SHOP"} & set(found)
            continue
        assert json.loads(found["ZHIYIN_CONNECTORS"])["shop.shop"]["url"] == "http://zhiyin-shop:8080"
        assert found["ZHIYIN_SECRET_DEFAULT_SHOP_SHOP"] == SECRET
    assert environment(chart.container("shop", "StatefulSet"))["SHOP_API_KEY"] == SECRET


def test_it_is_reached_by_them_only_and_reaches_nothing() -> None:
    found = {each for each in edges(rendered("demo shop")) if "shop" in each[:2]}
    assert found == {("business", "shop", 8080), ("worker", "shop", 8080)}


def test_it_has_orders_in_the_demo_only() -> None:
    assert environment(rendered("demo shop").container("shop", "StatefulSet"))["SHOP_EMPTY"] == "false"
    production = render({"shop": {"enabled": True}})
    assert environment(production.container("shop", "StatefulSet"))["SHOP_EMPTY"] == "true"


def test_its_image_is_one_of_ours() -> None:
    chart = render({"shop": {"enabled": True, "image": {"tag": "2"}}, "image": {"repositoryPrefix": "localhost/z-"}})
    assert chart.container("shop", "StatefulSet")["image"] == "localhost/z-shop:2"
    with pytest.raises(CommandFailed, match="shop/image"):
        render({"shop": {"enabled": True, "image": {"name": 7}}})
