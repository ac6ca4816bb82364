"""Words of answers to yes-or-no questions in Chinese and English; `|` stands between the words of an English phrase.

They are written in small letters and simplified characters; doubled letters, width and script do not matter.
"""

__all__ = ["CHANGE", "FILLER", "NO", "UNSURE", "YES"]

YES = """
要得 得 得咧 得行 没得问题 准 好 好的 好吧 好啊 好呀 好嘞 好哒 好滴 好咧 好哦 好喔 好呢 好嘛 好der 好耶 好勒 是
是的 是啊
是呀 是滴 是哒 是这样 是这样的 对 对的 对啊 对呀 对滴 对头 没错 没有错 错不了
没问题 没有问题 没毛病 没意见 没有意见 没异议 木问题 无误 行 行的 行啊 行吧 行呀 行嘞 行得 可 可以
可以的 可以啊 可以呀 可以了 可以滴 阔以 也行 也可以 也好 成 成的 妥 妥了 妥妥的 得嘞 中
嗯 恩 蒽 嗯嗯 嗯呐 嗯哼 嗯啊 嗯呢 要 要的 我要 当然 当然可以 当然要 必须 必须的 肯定 肯定的 确认
我确认 确定 我确定 同意 我同意 答应 批准 准了 认可 赞成 接受 愿意 我愿意
就这样 就这样吧 就这样办 就这样定了 那就这样 那就这样吧 就这么办 就这么办吧 就这么定了 就这么着 就这么着吧
就按这个来 按这个办 照办 照做 办吧 办理 办理吧 提交 提交吧 继续 继续吧 执行 执行吧
来吧 去吧 弄吧 搞吧 安排 安排吧 安排上 走起 开始吧 赶紧 赶紧的 赶紧办 赶紧吧 快办 快办吧 快点 快点吧
快点办 就它 就是它 就这个 就是这个 是这个 就这单 欧克 欧了 哦了 ojbk 通过 支持 允许 授权
yes y yep yup yeah yea ye ya yah yas yeh yse eys yess yis aye ok okay k kk okey okie okie-dokie okey-dokey
okie|dokie okey|dokey oki okies okidoki okey-doke oke oky oaky okk sure shure sure|thing right correct corect
that's|right thats|right that|is|right that's|correct thats|correct that|is|correct that's|fine that|is|fine
that's|ok that's|okay that's|good exactly absolutely definitely
certainly of|course indeed affirmative confirm confirmed confirming i|confirm i|can|confirm confrim comfirm
i|do|confirm approve approved i|approve agree agreed i|agree accept accepted i|accept
go|ahead go|right|ahead goahead go|for|it go|on proceed please|proceed do|it do|that do|so just|do|it please|do
let's|do|it lets|do|it let's|do|that let's|go lets|go sounds|good sounds|great sounds|fine
looks|good looks|right looks|correct looks|fine lgtm fine fine|by|me fine|with|me i'm|fine|with|that works|for|me
that|works all|good good great perfect cool very|well alright all|right alrighty
no|problem no|objection no|objections make|it|so submit submit|it continue carry|on you|bet yes|sir yessir roger
roger|that positive by|all|means i|do i|am|sure i'm|sure im|sure quite|sure i'd|like|that i|would|like|that
yes|i|do yes|i|am uh-huh uh|huh mhm mm-hmm mmhm mhmm i'm|ready hurry|up hell|yes hell|yeah
shi shide shi|de hao haode hao|de haoba haoya hao|ba dui duide dui|de keyi ke|yi xing xingba en enen queren queding
tongyi meicuo meiwenti mei|wenti haola
👍 👌 🙆 🆗 💯 ⭕ ✅ ✔ ☑ ✓ √ 🤝 🫡
"""

NO = """
不 不了 不要 不要了 不用 不用了 不行 不可以 不可 不好 不是 不是的 不同意 我不同意 不确认 不必 不必了
不需要 不需要了 不想 不想要 不想要了 不想了 不干 不办 不办了 不弄了 不提交 不继续 不继续了 不接受
不答应 不批准 不愿意 不可能 不嘛 不呢 不哦 不啊 不成 不妥 不中 不准 不允许 不授权 不通过 不支持 拒绝
否 否定 否决 别 别了 别办 别办了 别弄 别弄了 别提交 别这样 先别 先别办 先别弄 先别提交
先不 先不了 先不要 先不用 先不办 先不了吧 暂时不 暂时不用 暂时不要 暂时不办 暂不 暂且不 还是不了
还是算了 还是不要 还是不要了 还是别 还是别了 算了 算了吧 那算了 那就算了 那就不了 那不用了 罢了 没有 没
没门
甭 甭了 免了 停 停下 停止 打住 放弃 我放弃 住手 休想 切 呸 才不 才不要 达咩 免谈 我拒绝 我反对
反对 我不要 我不想 我不干 要不得 莫 莫得 莫要 莫办 唔 唔好 唔要 唔使 唔得 唔系 冇 勿 毋须 无需 婉拒 不得 改主意了
我改主意了 反悔了 我反悔了 后悔了 我后悔了 不要好了 还是不要好了 不用好了 还是先别 还是先别了 还是先不 以后再说
以后再说吧 改天 改天吧 下次 下次吧 回头再说 先放着
no n nope nop nah naw nay never no|way no|thanks no|thank|you no|ty not|now not|yet not|really not|today
not|this|time not|necessary don't dont do|not please|don't please|dont please|do|not
don't|do|it dont|do|it do|not|do|it don't|do|that don't|please stop stop|it please|stop negative never|mind
nevermind nvm forget|it forget|about|it forget|that leave|it leave|it|be no|need not|needed i|refuse refuse decline
reject i|decline i|don't|want|to i|dont|want|to i|don't|want|it i|dont|want|it i|don't|want|that i'd|rather|not
rather|not better|not i|don't|think|so don't|think|so i|do|not|agree i|don't|agree i|disagree disagree
absolutely|not of|course|not certainly|not definitely|not hell|no not|at|all no|chance abort quit x false
changed|my|mind i|changed|my|mind i've|changed|my|mind not|at|this|time not|right|now
not|anymore not|any|more not|interested no|i'm|good nah|i'm|good no|im|good nah|im|good keep|it keep|the|order
keep|my|order
don't|proceed dont|proceed do|not|proceed don't|continue do|not|continue don't|submit do|not|submit don't|confirm
do|not|confirm don't|go|ahead do|not|go|ahead dont|do|that i|do|not|confirm i|don't|confirm nuh|uh
uh-uh uh|uh i|object i|won't i|do|not hold|off not|a|chance no|deal
bu bushi bu|shi buxing bu|xing buyao bu|yao buyong bu|yong bukeyi bie suanle mei meiyou
👎 ❌ 🙅 🚫 ⛔ ✋ 🛑 ❎ × ✕ ✖ ✗ ✘
"""

UNSURE = """
也许 可能 或许 大概 应该 应该是 应该吧 应该可以 好像 似乎 再看看 看看 看看吧 再说 再说吧 考虑
考虑一下 考虑考虑 想想 想一下 想一想 我想想 再想想 等等 等一下 等下 稍等 等会 等会儿 不确定 不清楚
不知道
不晓得 不懂 不明白 没想好 还没想好 没决定 没考虑好 犹豫 纠结 随便 随意 随你 都行 都可以 无所谓 看情况
看你 看着办 不一定 难说 看吧 差不多 勉强 一般 估计 说不定 不好说 没准 没事 没关系 不错 不错哦 好了
行了 对了 真的
听你的 你定 你决定 你说了算 确认一下 确定一下 我确认一下 我看看 我看一下 可以的话 如果 要是 假如 除非
的话 可以吧 不是吧 不会吧 不至于 布吉岛 不可思议 问问 先问问 等我一下 等我 不急 别急 先别急 还好 还行
等收到 行行好 真行 真棒 得了 得了吧 不反对 不介意 不排除 凑合 不太确定 不太清楚 不太好
maybe mayb perhaps possibly probably prob i|guess i|guess|so i|think|so i|think i|suppose i|suppose|so i|believe|so
kind|of kinda sort|of sorta not|sure i'm|not|sure im|not|sure i|am|not|sure unsure dunno idk i|don't|know
i|dont|know i|do|not|know no|idea let|me|think let|me|see let|me|check hm hmm um umm uh er erm eh later wait
hold|on hang|on whatever if|you|say|so depends it|depends we'll|see we|will|see might could|be i|wonder meh
not|quite almost one|moment one|sec up|to|you you|decide i|don't|care don't|care if unless as|long|as why|not
no|worries likely unlikely so-so i|hope|so i|see not|so|sure not|entirely|sure hold|up brb yes|and|no oh|great
oh|sure just|great oh|perfect oh|wonderful oh|fantastic don't|mind i|don't|mind
i|dont|mind wouldn't|mind not|opposed hopefully supposedly yeah|right
yea|right as|if need|more|time i|need|more|time i|need|time
🤔 😕 ❓ ❔ 🤷 😐 🙃
"""

CHANGE = """
但 但是 不过 可是 只是 除了 改成 换成 改为 改一下 换一下 换个 改个 改到 改 更改 修改 更正 不对
不对的 不对吧 不对啊 错 错了 写错 写错了 搞错了 弄错了 说错了 填错了 选错了 错误 有误 有错 有问题
不是这个 不是这单 不是这样 不是这样的 不是那个
不是它 不正确 不准确 不如 另一个 另外一个 别的
but except however instead although though change changed changes different wrong incorrect not|right not|correct
not|mine not|my|order that's|not|my|order isn't|right isn't|correct that's|wrong that|is|wrong thats|wrong
that's|not|right mistake not|that not|this
not|that|one
not|this|one another|one the|other|one modify update edit replace swap bucuo|bushi budui bu|dui
"""

FILLER = """
的 了 吧 啊 呀 呢 哦 噢 喔 哈 哈哈 嘛 啦 哟 呗 咯 嘞 唉 哎 呃 额 滴 哒 嗒 咧 呐 の 那 那么 那就 就 我
我们 我说 你 您 你们 帮我 给我 请 麻烦 麻烦你 麻烦您 麻烦了 拜托 拜托了 谢谢 谢谢你 谢谢您 多谢
谢了 辛苦 辛苦了 感谢 亲 这样 这个 这单 这笔 这 它
订单 单号 号 订单号 一下 先 再见 拜拜 不好意思 抱歉 对不起 你好 您好 太 很 非常 真 完全 全部 就是
嘿 客服好 老板好 亲好 现在 马上 立刻 立即 上面 以上 信息 内容 没什么 办
please pls plz plea sorry actually thanks thank|you thx ty tks cheers then just well oh ah so and the this that it
order number now right|now asap mate man sir madam bro dude dear hey hi hello bye i|want to you me here there is's
very much
so|much all of it's its that's everything above details information info thank
🙏 😀 😃 😄 😁 😊 🙂 😉 😎 😂 🤣 🥰 ❤ 💪 🎉 🌹 ☺ 😅 👏 ✨
"""
