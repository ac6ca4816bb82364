"""Intents that the demo assistant lacks: 8 examples a language to learn from, and other sentences to be measured on."""

from collections.abc import Mapping

__all__ = ["EXAMPLES", "HELD_OUT"]

EXAMPLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "faq_trade_in": {
        "zh": (
            "可以以旧换新吗",
            "旧手机能折多少钱",
            "你们回收旧家电吗",
            "拿旧的换新的有补贴吗",
            "以旧换新怎么参加",
            "我的旧耳机能抵钱吗",
            "旧机器你们上门来收吗",
            "旧电脑估个价",
        ),
        "en": (
            "can I trade in my old phone",
            "how much would you give me for my old laptop",
            "do you take old appliances in part exchange",
            "is there a trade-in programme",
            "how does trading in an old device work",
            "are my old headphones worth anything towards new ones",
            "will you collect the old machine when I swap it",
            "I'd like a quote for my used tablet",
        ),
    },
    "faq_gift_wrap": {
        "zh": (
            "可以礼品包装吗",
            "能帮我包得漂亮点吗，送人的",
            "礼盒包装要加钱吗",
            "能不能附一张贺卡",
            "我是送朋友生日礼物，有礼品袋吗",
            "包裹里别放价格单，是送人的",
            "可以写祝福语吗",
            "礼物包装有几种样式",
        ),
        "en": (
            "can you gift wrap it",
            "it's a present, could you wrap it nicely",
            "does gift wrapping cost extra",
            "can you add a greeting card",
            "it's a birthday gift, do you have gift bags",
            "please leave the price slip out, it's a gift",
            "can I include a personal message with the gift",
            "what kinds of gift wrapping do you offer",
        ),
    },
}
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "faq_trade_in": {
        "zh": (
            "家里旧洗衣机能换台新的不",
            "旧手机屏幕碎了还回收吗",
            "以旧换新能便宜多少",
            "老款的拿去抵新款行不行",
            "用了三年的平板你们收多少钱",
            "参加旧机换新需要什么条件",
            "旧的你们负责拉走吗",
            "国家的换新补贴你们家有没有",
            "帮我看看旧手表值多少钱",
            "旧电器折价怎么算",
        ),
        "en": (
            "can I swap my old washing machine for a new one",
            "do you still buy back phones with a cracked screen",
            "how much off do I get with a trade-in",
            "can I hand in the old model towards the new one",
            "what's a three year old tablet worth to you",
            "what are the conditions for trading in",
            "will you take the old one away",
            "what do you pay for used devices",
            "could you value my old watch",
            "is part exchange possible for old electronics",
        ),
    },
    "faq_gift_wrap": {
        "zh": (
            "送女朋友的，有没有好看点的包装",
            "加个礼盒多少钱",
            "想在里面放张卡片写几句话",
            "你们提供礼物包装服务吗",
            "收礼的人会看到价钱吗",
            "帮我用红色的纸包起来，过年送长辈",
            "礼品包装免费吗",
            "能代写贺卡不",
            "包装盒有送人的那种吗",
            "我要把它当礼物送，能包一下吗",
        ),
        "en": (
            "it's for my girlfriend, is there some prettier wrapping",
            "how much is a gift box",
            "I'd like to put a card with a few words inside",
            "do you offer a gift wrapping service",
            "will the person who gets the gift see the price",
            "could you wrap it in red paper for my grandparents",
            "is gift wrap free",
            "can you write a greeting card for me",
            "is there a box that's suitable for a present",
            "I'm giving it as a gift, can it be wrapped",
        ),
    },
}
