import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.shop.addresses import MAX_LENGTH, address_problem, normal_address


@pytest.mark.parametrize(
    "address",
    [
        "上海市浦东新区世纪大道100号",
        "北京朝阳区建国路88号3单元502室",
        "深圳市南山区科技园",
        "杭州西湖区文三路",
        "世纪大道100号",
        "广东省佛山市顺德区大良镇凤山中路3号",
        "内蒙古自治区鄂温克族自治旗巴彦托海镇1号",
        "100 Century Avenue, Pudong, Shanghai",
        "Room 302, Building 5, 88 Jianguo Rd, Chaoyang District, Beijing",
    ],
)
def test_a_parcel_could_get_there(address: str) -> None:
    assert address_problem(normal_address(address)) is None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("", "address_too_short"),
        ("随便", "address_too_short"),
        ("不知道在哪里", "address_incomplete"),
        ("我家在上海市", "address_incomplete"),
        ("广东省佛山市顺德区大良镇", "address_incomplete"),
        ("我就住在那个小区", "address_incomplete"),
        ("我想换一个地址可以吗", "address_incomplete"),
        ("I don't know 5", "address_incomplete"),
        ("No. 5", "address_incomplete"),
        ("somewhere on the road", "address_incomplete"),
        ("上海市" * 67, "address_too_long"),
    ],
)
def test_a_parcel_could_not(address: str, problem: str) -> None:
    assert address_problem(normal_address(address)) == problem


def test_an_address_is_one_line_of_plain_characters() -> None:
    assert normal_address("  上海市\n浦东新区　世纪大道１００号。 ") == "上海市 浦东新区 世纪大道100号"


@given(st.text(max_size=400))
def test_any_text_gets_an_answer_and_is_normal_once(text: str) -> None:
    address = normal_address(text)

    assert normal_address(address) == address
    assert all(character.isprintable() for character in address)
    assert address_problem(address) in {None, "address_too_short", "address_too_long", "address_incomplete"}
    assert address_problem(address) is not None or 5 <= len(address) <= MAX_LENGTH
