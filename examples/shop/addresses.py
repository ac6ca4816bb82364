"""Delivery addresses: whether a parcel could get there, as far as the text alone can say."""

import re
import unicodedata
from typing import Literal

__all__ = ["AddressProblem", "address_problem", "normal_address"]

MIN_LENGTH = 5
MAX_LENGTH = 200

AddressProblem = Literal["address_too_short", "address_too_long", "address_incomplete"]

AREA = re.compile(r"[\u4e00-\u9fff]{1,12}?(?:省|市|自治区|特别行政区|自治州|盟|(?<![小社校园])区|县|旗|镇|乡|村)")
STREET = re.compile(
    r"[\u4e00-\u9fff\w](?:路|街|大道|巷|弄|里|胡同|号|幢|栋|座|楼|层|室|单元|小区|花园|大厦|广场|公寓|苑|园|城|组|屯)"
)
STREET_EN = re.compile(
    r"\b(?:road|rd|street|st|avenue|ave|lane|ln|boulevard|blvd|drive|dr|way|building|bldg|block|room|rm|unit|"
    r"apartment|apt|suite|floor|district|no|place|square|court|plaza|tower|village)\b",
    re.IGNORECASE,
)
DIGIT = re.compile(r"\d")
MIN_WORDS = 3


def normal_address(text: str) -> str:
    """One line, plain digits and letters, single spaces."""
    printable = "".join(
        character if character.isprintable() else " " for character in unicodedata.normalize("NFKC", text)
    )
    return " ".join(printable.split()).strip(" ,.;，。；")


def address_problem(address: str) -> AddressProblem | None:
    """What is wrong with a normalised address; a place and something more exact within it are asked for."""
    if len(address) < MIN_LENGTH:
        return "address_too_short"
    if len(address) > MAX_LENGTH:
        return "address_too_long"
    number = DIGIT.search(address) is not None
    area, street = AREA.search(address) is not None, STREET.search(address) is not None
    chinese = (area and (street or number)) or (street and number)
    english = number and STREET_EN.search(address) is not None and len(address.split()) >= MIN_WORDS
    return None if chinese or english else "address_incomplete"
