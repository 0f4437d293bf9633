"""The filter language: any text is read or refused in words, and what was read does what it says."""

import operator
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gondwana.core.devices import canonical_device
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.market import filters
from gondwana.market.fields import FIELDS, FOREIGN, ORDERED, Kind
from gondwana.market.filters import parse_filter
from gondwana.market.measures import price_micro_usd_per_million_steps
from gondwana.market.model import Tag
from gondwana.market.sorting import page_of, parse_sorting
from gondwana.wire.machines import Trust

GIB, NOW = 1024**3, 1_800_000_000.0
PIECES = [
    *FIELDS, "=", "!=", "<", "<=", ">", ">=", "~", "==", "|", '"', "'", " ", "*", "$", "2.50", "4", "0", "64GB",
    "1.5TiB", "H100", "rtx 4090", "eu-*", "nvidia", "home", "datacentre", "sandbox", "ä", "\x00",
    "'; DROP TABLE lease; --", " and ", " in (", ")", ", ", " not in ", " has ", "tag:", "gdpr", "soc2@ann", "98%",
    "0.98",
    "550.54.14", "2h", "fast", "proven", "nvlink", " or ", "(", "((((",
    "\u202e", "İ", "1e999", "9" * 30,
]  # fmt: skip
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))


@pytest.fixture
def listed(make):
    """A machine with an accelerator: two H100 for $2.50 in eu-west."""

    def listed(**changes):
        given = {
            "price": 2_500_000, "accelerator": "H100", "devices": 2, "free": 1, "region": "eu-west", "cpus": 32.0,
            "memory_bytes": 64 * GIB, "device_memory_bytes": 81_559 * 1024**2, "vendor": "nvidia",
            "steps_per_second": 12.3456, "sla": "mixed", "tflops": 40.5, "compute_capability": "9.0",
            "driver": "550.54.14", "country": "DE", "interconnect": "nvlink", "up_bits_per_second": 200_000_000,
            "down_bits_per_second": 900_000_000, "reliability": 0.99, "trust": Trust.PROVEN, "notice_seconds": 7_200,
            "spot_floor_micro_usd_per_device_hour": 1_000_000,
            "tags": (Tag(name="gdpr", signer="ann", expires_at=make.NOW + 10),
                     Tag(name="soc2", signer="bob", expires_at=make.NOW + 1)),
        }  # fmt: skip
        return make.listing("atlas", **{**given, **changes})

    return listed


def fits(text, listing, at=NOW):
    return parse_filter(text).predicate(at)(listing)


def read_or_refused(read, text):
    """(what was read, None) or (None, the refusal); anything else that is raised is a mistake."""
    try:
        return read(text), None
    except InvalidValue as error:
        return None, error


@given(texts)
@example(
    "model=H100|A100-80GB devices>=4 price<=2.50 region=eu-* memory>=64GB sla=datacentre steps>=10"
)
def test_any_text_is_read_or_refused_and_what_was_read_prints_as_itself(text):
    read, error = read_or_refused(parse_filter, text)
    if error is not None:
        assert error.hint
        assert {"field", "value"} <= error.fields.keys()
        assert all(len(str(value)) <= 60 for value in error.fields.values())
        return
    assert parse_filter(str(read)) == read
    assert str(parse_filter(str(read))) == str(read)


@pytest.mark.parametrize(
    "text",
    ["model=H100", "model=nvidia-h100-80gb-hbm3", 'model="NVIDIA H100 80GB HBM3"', "model=h100_sxm5", "model~h1*",
     "model~H*00", "model=A100|h100", "model!=A100", "devices=2", "devices=1|2", "devices>=2", "devices<3",
     "free=1", "price<=2.50", "price<=$2.5", "price=2.500000", "price>2.499999", "memory>=64GB", "memory=64GiB",
     "memory<64.000001GB", "device_memory>=80GB", "device_memory<80GiB", "vendor=NVIDIA", "steps=12.346",
     "steps>12.3", "cpus>=32", "region=eu-*", "region~*-west", "region=us-*|eu-*", "region!=us-*",
     "region!='eu-*'", "sla>=mixed", "sla<datacentre", "sla=Mixed|home", "sla!=home", "isolation=sandbox",
     "machine=ATLAS", "machine~*t*s", "price_per_million_steps>=56.25", "PRICE < 3  region = eu-west",
     "price-per-million-steps<57", "", "region in (eu-west, eu-north) and tflops >= 40 and reliability >= 0.98",
     "tags has gdpr", "tags has gdpr|hipaa and tag:soc2@bob", "tags in (hipaa, soc2@bob)", "tags!=hipaa",
     "tags not in (soc2@ann)", "region not in ('eu-*', us-1)", "region in(eu-*)", "model in (A100, 'H100 PCIe')",
     "reliability>=98%", "reliability<=0.99", "compute_capability>=8.9", "compute_capability=9", "driver>=550",
     "driver>=550.54.14", "driver<550.100", "country=de", "interconnect=nvlink", "bandwidth>=fast", "bandwidth=fast",
     "bandwidth<gigabit", "trust>=proven", "trust<staked", "notice>=1h", "notice=120m", "notice<1d", "spot=yes",
     "tflops=40.5", "price_per_tflop<=0.062", "price_per_tflop>0.0617", "PRICE<=3 AND Region=eu-west",
     "price<=3 && free>=1"],
)  # fmt: skip
def test_what_an_offer_has_fits(listed, text):
    assert fits(text, listed())


@pytest.mark.parametrize(
    "text",
    ["model=A100", "model!=H100", "model~A*", "devices>2", "free>=2", "price<2.5", "memory>64GB",
     "device_memory>=80GiB", "steps>=12.347", "region=us-*", "region='eu-*'", "region~eu", "sla>mixed",
     "machine~*z*", "machine~atlas*s", "price<=2.50 region=us-east", "isolation=plain|none", "tags has hipaa",
     "tag:gdpr@bob",
     "tags!=gdpr", "region not in (eu-west)", "reliability>99%", "driver>=550.100", "compute_capability>=10.0",
     "bandwidth>=gigabit", "trust>=staked", "notice>2h", "spot!=yes", "tflops>40.5", "country!=DE"],
)  # fmt: skip
def test_what_an_offer_has_not_does_not_fit(listed, text):
    assert not fits(text, listed())


@pytest.mark.parametrize("compared", ["steps>0", "steps!=3", "price_per_million_steps<9", "vendor!=amd",
                                      "device_memory<9GB", "cpus<9", "memory!=1GB", "isolation!=none",
                                      "tflops!=3", "price_per_tflop<9", "driver!=1", "compute_capability<9",
                                      "country!=DE", "interconnect!=pcie", "bandwidth<=backbone",
                                      "bandwidth!=fast"])  # fmt: skip
def test_what_was_not_measured_fits_nothing_that_is_said_about_it(make, compared):
    bare = make.listing(steps_per_second=0.0, cpus=0.0, memory_bytes=0, isolation="")
    assert not fits(compared, bare)


@pytest.mark.parametrize(
    ("text", "field", "value", "hint"),
    [("prize<=2", "prize", "prize", "price"), ("gpu_name=H100", "gpu_name", "gpu_name", "model"),
     ("vram>=24GB", "vram", "vram", "device_memory"), ("price<=cheap", "price", "cheap", "price<=2.50"),
     ("memory>=64", "memory", "64", "memory>=64GB"), ("H100", "where", "H100", "model=H100"),
     ("rtx_4090", "where", "rtx_4090", "model=RTX4090"), ("devices", "where", "devices", "devices>=4"),
     ("region<eu", "region", "<", "region=eu-*"), ("price==2", "price", "==", "price=2.50"),
     ("sla=datacenter", "sla", "datacenter", "sla=datacentre"), ("isolation=sandbx", "isolation", "sandbx", "sandbox"),
     ("price<=2|3", "price", "2|3", "price<=2.50"), ("model=", "model", "", "model=H100"),
     ("region=eu|", "region", "", "region=eu-*"), ("region='eu", "region", "'", "region=eu-*"),
     ("devices>=2.5", "devices", "2.5", "devices>=4"), ("price<=1e3", "price", "1e3", "price<=2.50"),
     ("price<=-1", "price", "-1", "price<=2.50"), ("price<=0.0000001", "price", "0.0000001", "price<=2.50"),
     ("steps>=NaN", "steps", "NaN", "steps>=10"), ("cpus>=٤", "cpus", "٤", "cpus>=8"),
     ("memory>=9999999TB", "memory", "9999999TB", "memory>=64GB"), ("model=nvidia", "model", "nvidia", "vendor=nvidia"),
     ("price<=2;region=eu", "price", "=eu", "space"), ("steps~1", "steps", "~", "steps>=10"),
     ("model=H10", "model", "H10", "did you mean model=H100"), ("tflpos>=40", "tflpos", "tflpos", "tflops"),
     ("reliability2>0.9", "reliability2", "reliability2", "reliability"), ("reliability>=98", "reliability", "98",
     "0.98"),
     ("bandwidth>=fats", "bandwidth", "fats", "fast"), ("driver>=550.x", "driver", "550.x", "driver>=550.54"),
     ("notice>=2w", "notice", "2w", "notice>=1h"), ("tags~gd*", "tags", "~", "tags has gdpr"),
     ("tags has gd*", "tags", "gd*", "tags has gdpr"), ("price has 2", "price", "has", "price=2.50"),
     ("region in eu-1", "region", "eu-1", "region in (eu-*, …)"), ("region in (eu-1", "region", "", "region in ("),
     ("region in ()", "region", ")", "region in ("), ("price<=2 or price>=9", "where", "or", "any_of"),
     ("((price<=2))", "where", "((price<=2))", "any_of"), ("not spot=yes", "where", "not", "not in"),
     ("price<=2 and", "where", "", "price<=2.50"), ("and price<=2", "where", "and", "price<=2.50"),
     ("tag: gdpr", "where", "tag:", "FIELD OPERATOR VALUE"), ("spot=maybe", "spot", "maybe", "yes, no"),
     ("' OR 1=1 --", "where", "'", "FIELD OPERATOR VALUE")],
)  # fmt: skip
def test_a_refusal_names_the_field_the_value_and_what_to_type(text, field, value, hint):
    with pytest.raises(InvalidValue) as refused:
        parse_filter(text)
    assert (refused.value.fields["field"], refused.value.fields["value"]) == (field, value)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [" " * (filters.FILTER_CHARS_MAX + 1), "price<=2 " * (filters.TERMS_MAX + 1),
     "region=" + "|".join(["eu"] * (filters.VALUES_MAX + 1))],
)  # fmt: skip
def test_a_filter_has_limits(text):
    with pytest.raises(InvalidValue):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "position", "marked"),
    [("price<=2.50 and tflpos>=40", 17, "price<=2.50 and ▸tflpos>=40"), ("region in (eu-1, ", 18, "region in (eu-1, ▸"),
     ("price<=2.50   memory>=64", 23, "ice<=2.50   memory>=▸64"), ("model=A100|H10", 12, "model=A100|▸H10")],
)  # fmt: skip
def test_a_refusal_marks_where_it_is(text, position, marked):
    with pytest.raises(InvalidValue) as refused:
        parse_filter(text)
    assert (refused.value.fields["position"], refused.value.fields["marked"]) == (position, marked)
    assert f"At character {position}: {marked}" in refused.value.message


HOSTILE = [
    "(" * 1_900, "((" * 400 + "a" + "))" * 400, "tags has " + "(" * 1_900, "region in (" + "a," * 900, "'" * 1_999,
    "a" * 2_000, "a" * 1_999 + "=", "price<=" + "9" * 1_990, "price<=0." + "0" * 1_980, "driver>=" + "1." * 900,
    "model=" + "a" * 1_900, "model=" + "H100 " * 300, "model=" + "RTX" * 600, " " * 1_999 + "=", "and " * 500,
    "region in " * 190, "not " * 499, "-" * 2_000, "a-" * 999, "a_b" * 666 + "=1", "tag:" * 499,
    "region=" + "*" * 1_900,
    "😀" * 1_999, "region=" + "\u0301" * 1_900, "\x00" * 1_999, "region in (" + "(" * 1_900,
    "reliability>=" + "1" * 1_900,
    "compute_capability>=" + "9" * 1_900, "notice>=" + "9" * 1_900 + "d", "x" * 10_000, "(" * 10_000, "\ud800" * 100,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_is_read_or_refused_within_a_blink(text):
    begun = time.thread_time()
    read, error = read_or_refused(parse_filter, text)
    assert time.thread_time() - begun < 0.1
    assert read is not None or error.hint


@given(st.text(alphabet="(),|=<>!~\"' *$%@:.-_0123456789abHinotdsg", max_size=2_100))
def test_any_punctuation_is_read_or_refused(text):
    read, error = read_or_refused(parse_filter, text)
    assert parse_filter(str(read)) == read if error is None else error.hint


def test_a_tag_counts_until_the_second_it_expires_and_no_longer(listed):
    for text in ("tags has gdpr", "tag:gdpr@ann"):
        assert fits(text, listed(), NOW + 9.999)
        assert not fits(text, listed(), NOW + 10)
    assert fits("tags!=gdpr", listed(), NOW + 10)


def test_whether_a_tag_stands_cannot_be_asked_without_saying_when(listed):
    with pytest.raises(AssertionError):
        fits("tags has gdpr", listed(), None)


def test_a_card_that_is_really_called_so_is_found_in_quotes(make):
    odd = make.listing(accelerator="H10")
    assert fits('model="H10"', odd)
    assert str(parse_filter('model="H10"')) == 'model="H10"'


def test_a_pattern_of_many_stars_takes_no_longer_than_a_short_one(make):
    assert not fits(f"machine~{'a*' * 400}b", make.listing("a" * 63))
    assert fits(f"machine~{'*' * 900}", make.listing("a" * 63))


def test_every_foreign_name_leads_to_a_field():
    assert set(FOREIGN.values()) <= set(FIELDS)
    assert not set(FOREIGN) & set(FIELDS)


# What a filter finds is what a plain look at every listing finds.

ORDERS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SPELLINGS = (
    "H100",
    "h100 pcie",
    "RTX 4090",
    "NVIDIA GeForce RTX 4090",
    "A100_80GB_PCIe",
    "CPU",
    "cpu",
    "XYZ 3",
)
SLAS = ("home", "mixed", "datacentre")
whole = st.integers(0, 3)
numbers = st.tuples(st.sampled_from(list(ORDERS)), whole)


def plain_number(get, unit=1):
    """A term about a number: (its text after the field, what it should be true of)."""

    def made(told):
        sign, number = told
        return sign, number, lambda each: bool(get(each)) and ORDERS[sign](get(each), number * unit)

    return numbers.map(made)


def named(get, canonical, values):
    def made(told):
        sign, wanted = told
        text = sign + "|".join(f'"{each}"' for each in wanted)
        names = {canonical(each).lower() for each in wanted}
        return text, lambda each: bool(get(each)) and (get(each).lower() in names) is (sign == "=")

    return st.tuples(
        st.sampled_from(["=", "!="]), st.lists(st.sampled_from(values), min_size=1, max_size=3)
    ).map(made)


def about(field, terms, suffix=""):
    def made(term):
        *told, expected = term
        return field + "".join(map(str, told)) + suffix, expected

    return terms.map(made)


def sla_term(told):
    sign, level = told
    level %= 3
    return sign, SLAS[level], lambda each: ORDERS[sign](SLAS.index(each.sla), level)


BANDS = ((0, "narrow"), (20, "home"), (100, "fast"), (1_000, "gigabit"))


def bandwidth_term(told):
    sign, level = told

    def is_right(each):
        slower = min(each.up_bits_per_second, each.down_bits_per_second) / 1e6
        return slower > 0 and ORDERS[sign](sum(slower >= least for least, _ in BANDS) - 1, level)

    return sign, BANDS[level][1], is_right


terms = st.one_of(
    about("model", named(lambda each: each.accelerator, canonical_device, SPELLINGS)),
    about("region", named(lambda each: each.region, str, ("eu-1", "eu-2", "us"))),
    about("vendor", named(lambda each: each.vendor, str, ("nvidia", "AMD"))),
    about("region", st.sampled_from([("~eu-*", lambda each: each.region.startswith("eu-")),
                                     ("!=*-1", lambda each: not each.region.endswith("-1"))])),
    about("memory", plain_number(lambda each: each.memory_bytes, GIB), "GB"),
    about("device_memory", plain_number(lambda each: each.device_memory_bytes, 10**9), "GB"),
    about("steps", plain_number(lambda each: round(each.steps_per_second, 3))),
    about("cpus", plain_number(lambda each: each.cpus)),
    about("sla", numbers.map(sla_term)),
    about("tflops", plain_number(lambda each: round(each.tflops, 3))),
    about("bandwidth", numbers.map(bandwidth_term)),
    about("driver", plain_number(lambda each: float(each.driver.removesuffix('.0') or 0))),
    about("notice", numbers.map(lambda t: (*t, "h", lambda each: ORDERS[t[0]](each.notice_seconds, t[1] * 3_600)))),
    about("tags", st.tuples(st.sampled_from(["=", "!="]), st.sampled_from(["t1", "t2", "t1@s"])).map(
        lambda t: (*t, lambda each: any(t[1] in (x.name,
        f"{x.name}@{x.signer}") for x in each.tags) is (t[0] == "=")))),
    about("price", numbers.map(lambda t: (*t, lambda each: ORDERS[t[0]](
        each.price_micro_usd_per_device_hour, t[1] * 1_000_000)))),
    about("devices", numbers.map(lambda t: (*t, lambda each: ORDERS[t[0]](each.devices, t[1])))),
    about("free", numbers.map(lambda t: (*t, lambda each: ORDERS[t[0]](each.devices_free, t[1])))),
)  # fmt: skip
changes = st.fixed_dictionaries({
    "accelerator": st.sampled_from([canonical_device(name) for name in SPELLINGS]),
    "region": st.sampled_from(["eu-1", "eu-2", "us"]), "vendor": st.sampled_from(["", "nvidia", "amd"]),
    "devices": whole, "free": whole, "cpus": whole.map(float), "memory_bytes": whole.map(lambda n: n * GIB),
    "device_memory_bytes": whole.map(lambda n: n * 10**9), "sla": st.sampled_from(SLAS),
    "price": whole.map(lambda n: n * 1_000_000), "steps_per_second": st.sampled_from([0.0, 0.0001, 1.0004, 2.0, 3.0]),
    "tflops": st.sampled_from([0.0, 0.0001, 1.0004, 2.0, 3.0]), "driver": st.sampled_from(["", "1", "2.0", "3.0.0"]),
    "up_bits_per_second": whole.map(lambda n: n * 60_000_000), "notice_seconds": whole.map(lambda n: n * 3_600),
    "down_bits_per_second": whole.map(lambda n: n * 500_000_000),
    "tags": st.lists(st.sampled_from(["t1", "t2"]), max_size=2).map(
        lambda names: tuple(Tag(name=n, signer="s", expires_at=NOW + 1) for n in names)),
})  # fmt: skip


@given(st.lists(terms, max_size=4), st.lists(changes, max_size=8))
def test_a_filter_finds_what_a_plain_look_at_every_listing_finds(make, asked, offered):
    listings = [make.listing(f"m{n}", **each) for n, each in enumerate(offered)]
    found = parse_filter(" ".join(text for text, _ in asked)).predicate(NOW)
    expected = [each.name for each in listings if all(is_right(each) for _, is_right in asked)]
    assert [each.name for each in listings if found(each)] == expected


# Order and pages.

orders = st.sampled_from(["", *FIELDS, *(f"-{name}" for name in FIELDS)])


@given(
    st.lists(changes, max_size=12),
    st.sampled_from(["", *FIELDS, *(f"-{name}" for name in FIELDS)]),
    st.integers(1, 5),
)
def test_pages_are_the_whole_list_in_order_cut_in_pieces(make, offered, sort, limit):
    listings = [make.listing(f"m{n}", **each) for n, each in enumerate(offered)]
    sorting = parse_sorting(sort)
    found, cursor = [], ""
    while cursor is not None:
        part, cursor = page_of(listings, lambda each: True, sorting, cursor=cursor, limit=limit)
        found += part
    assert found == sorted(listings, key=sorting.key)
    assert len(found) == len(listings)
    if sort:
        values = [FIELDS[sort.removeprefix("-")].of(each) for each in found]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known))
        assert known == sorted(known, reverse=sort.startswith("-"))


def test_a_page_goes_on_where_it_was_whatever_came_or_went_meanwhile(make):
    sorting = parse_sorting("price")
    listings = [make.listing(f"m{n}", price=n) for n in range(6)]
    first, cursor = page_of(listings, lambda each: True, sorting, limit=3)
    changed = [*listings[:2], *listings[3:], make.listing("new", price=0)]
    rest, end = page_of(changed, lambda each: True, sorting, cursor=cursor, limit=3)
    assert [each.name for each in first + rest] == ["m0", "m1", "m2", "m3", "m4", "m5"]
    assert end is None


def test_without_an_order_the_cheapest_per_work_comes_first(make):
    fast = make.listing("fast", price=2_000_000, steps_per_second=100.0)
    slow = make.listing("slow", price=1_000_000, steps_per_second=10.0)
    unknown = make.listing("unknown", price=1, steps_per_second=0.0)
    assert price_micro_usd_per_million_steps(unknown) is None
    found, _ = page_of([unknown, slow, fast], lambda each: True, parse_sorting(""), limit=9)
    assert found == [fast, slow, unknown]


@pytest.mark.parametrize("sort", ["prize", "--price", "-", "price,steps", "x" * 5_000])
def test_an_unknown_order_is_refused_with_the_field_that_may_be_meant(sort):
    with pytest.raises(InvalidValue) as refused:
        parse_sorting(sort)
    assert refused.value.fields["field"] == "sort"
    assert refused.value.hint


@given(st.text(max_size=60), st.sampled_from(["", "price", "-region"]))
@example("W10=", "price")
@example("W251bGwsMSwxLDEsIngiXQ==", "price")
def test_any_cursor_is_understood_or_refused(cursor, sort):
    key, error = read_or_refused(parse_sorting(sort).after, cursor)
    assert isinstance(key, tuple) if error is None else error.fields["field"] == "cursor"


def test_a_cursor_of_another_order_is_refused(make):
    listing = make.listing()
    with pytest.raises(InvalidValue):
        parse_sorting("region").after(parse_sorting("price").cursor(listing))
    with pytest.raises(InvalidValue):
        parse_sorting("").after(parse_sorting("price").cursor(listing))
    assert parse_sorting("price").after(parse_sorting("price").cursor(replace(listing)))


def test_every_kind_of_field_is_ordered_or_named():
    assert {Kind.TEXT, Kind.MODEL, Kind.WORD, Kind.TAG} | ORDERED == set(Kind)
