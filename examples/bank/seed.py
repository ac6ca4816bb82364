"""Four customers and what they have; days are counted back from the one on which the bank is seeded."""

from datetime import timedelta
from sqlite3 import Connection

from examples.bank.branches import SLOT, times
from examples.bank.database import now

__all__ = ["seed"]

CUSTOMERS = [("C1001", "李雷"), ("C1002", "韩梅梅"), ("C1003", "Jim Green"), ("C1004", "王芳")]
ACCOUNTS = [
    ("A1001-1", "C1001", "current", "活期账户", "Current account", "6621", "CNY", 28_416_35, 0),
    ("A1001-2", "C1001", "savings", "美元储蓄账户", "US dollar savings", "9017", "USD", 2_350_00, 0),
    ("A1001-3", "C1001", "credit", "信用卡账户", "Credit card account", "8804", "CNY", -2_310_50, 30_000_00),
    ("A1002-1", "C1002", "current", "活期账户", "Current account", "3057", "CNY", 962_18, 0),
    ("A1003-1", "C1003", "current", "活期账户", "Current account", "7745", "CNY", 105_000_00, 0),
]
CARDS = [
    ("C1001", "6621", "A1001-1", "debit", "储蓄卡", "Debit card", "active", 10_000_00, 50_000_00, "2029-08"),
    ("C1001", "8804", "A1001-3", "credit", "信用卡", "Credit card", "active", 20_000_00, 5_000_00, "2027-03"),
    ("C1002", "3057", "A1002-1", "debit", "储蓄卡", "Debit card", "frozen", 5_000_00, 20_000_00, "2028-11"),
    ("C1003", "7745", "A1003-1", "debit", "储蓄卡", "Debit card", "blocked", 5_000_00, 20_000_00, "2028-05"),
]
TRANSACTIONS = [
    # days ago, account, kind, counterparty, amount, currency
    (2, "A1001-1", "transfer", "王小明", "Wang Xiaoming", -3_200_00, "CNY"),
    (4, "A1001-3", "card", "云鼎电商", "Yunding Online Shop", -480_00, "CNY"),
    (5, "A1001-3", "card", "老城火锅", "Old Town Hot Pot", -286_50, "CNY"),
    (8, "A1001-1", "income", "工资", "Salary", 18_500_00, "CNY"),
    (12, "A1001-2", "card", "Harbour Books", "Harbour Books", -129_99, "USD"),
    (20, "A1001-1", "transfer", "李强", "Li Qiang", -26_000_00, "CNY"),
    (31, "A1001-1", "fee", "短信服务费", "Text message fee", -2_00, "CNY"),
    (120, "A1001-1", "transfer", "安居房东", "Anju Housing", -1_500_00, "CNY"),
    (3, "A1002-1", "card", "晨光超市", "Chenguang Market", -88_80, "CNY"),
    (200, "A1002-1", "transfer", "赵敏", "Zhao Min", -600_00, "CNY"),
    (1, "A1003-1", "income", "房租", "Rent", 4_200_00, "CNY"),
]
GROCERIES = 16
"""Small payments every nine days, so that there is more than one page."""
BRANCHES = [
    ("sh-lujiazui", "上海", "Shanghai", "陆家嘴支行", "Lujiazui branch", "浦东新区世纪大道8号",
     "8 Century Avenue, Pudong", "021-5550 1001", 1),
    ("sh-xujiahui", "上海", "Shanghai", "徐家汇支行", "Xujiahui branch", "徐汇区虹桥路1号",
     "1 Hongqiao Road, Xuhui", "021-5550 1002", 0),
    ("bj-chaoyang", "北京", "Beijing", "朝阳支行", "Chaoyang branch", "朝阳区建国路77号",
     "77 Jianguo Road, Chaoyang", "010-5550 1003", 1),
    ("hz-xihu", "杭州", "Hangzhou", "西湖支行", "West Lake branch", "西湖区文三路100号",
     "100 Wensan Road, Xihu", "0571-5550 1004", 0),
    ("sz-futian", "深圳", "Shenzhen", "福田支行", "Futian branch", "福田区深南大道4000号",
     "4000 Shennan Avenue, Futian", "0755-5550 1005", 1),
    ("gz-tianhe", "广州", "Guangzhou", "天河支行", "Tianhe branch", "天河区体育西路10号",
     "10 Tiyu West Road, Tianhe", "020-5550 1006", 0),
    ("cd-jinjiang", "成都", "Chengdu", "锦江支行", "Jinjiang branch", "锦江区红星路3号",
     "3 Hongxing Road, Jinjiang", "028-5550 1007", 1),
]  # fmt: skip


def seed(connection: Connection) -> None:
    """Fills empty tables."""
    connection.executemany("INSERT INTO customers VALUES (?, ?)", CUSTOMERS)
    connection.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ACCOUNTS)
    connection.executemany("INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", CARDS)
    market = [
        (6 + 9 * week, "A1001-1", "card", "晨光超市", "Chenguang Market", -(35_00 + 7_10 * week), "CNY")
        for week in range(GROCERIES)
    ]
    owners = {account[0]: account[1] for account in ACCOUNTS}
    noon = now().replace(hour=12, minute=0, second=0)
    for number, (days, account, kind, zh, en, paid, currency) in enumerate([*TRANSACTIONS, *market], start=1):
        booked = (noon - timedelta(days=days)).isoformat()
        connection.execute(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (f"TX{number:06d}", owners[account], account, booked, kind, zh, en, paid, currency),
        )
    connection.executemany("INSERT INTO branches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", BRANCHES)
    branch = connection.execute("SELECT * FROM branches WHERE id = 'hz-xihu'").fetchone()
    coming = [at.strftime(SLOT) for at in times(branch)]
    connection.execute(
        "INSERT INTO appointments (customer, branch, slot, topic, reference, status)"
        " VALUES ('C1002', 'hz-xihu', ?, '开户', 'seed', 'booked')",
        (coming[1],),
    )
