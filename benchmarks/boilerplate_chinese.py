"""Boilerplate: what stands around a Chinese article, with phrases of the article in it."""

import random
import re

_HAN_RUN = re.compile(r"[\u4e00-\u9fff]{2,}")

_MENU = [
    "首页", "网站地图", "关于我们", "联系我们", "登录", "注册", "产品中心", "新闻动态", "下载",
    "加入收藏", "设为首页", "返回顶部", "更多>>", "会员中心", "在线客服", "友情链接", "购物车",
]  # fmt: skip
_FOOTER = [
    "关于我们 | 联系我们 | 广告服务 | 招聘信息 | 网站地图",
    "本站所有内容均来自互联网，如有侵权请联系我们删除",
    "客服电话：400-800-1234 邮箱：service@example.com",
    "未经授权禁止转载、摘编、复制或建立镜像",
    "增值电信业务经营许可证：B2-20050000",
    "友情链接：新闻网 体育网 财经网 汽车网 房产网",
    "隐私政策 服务条款 免责声明 帮助中心 意见反馈",
    "技术支持：某某网络科技有限公司",
    "扫描二维码关注我们的微信公众号",
]
_LOGIN = [
    "用户名： 密码： 记住我 忘记密码？ 立即注册",
    "您需要登录后才可以回帖 登录 | 立即注册",
    "点击下载 安卓版下载 苹果版下载 电脑版下载",
    "本帖最后由 admin 于 2015-3-2 10:21 编辑",
    "抱歉，您所在的用户组无法下载或查看附件",
    "验证码 看不清？换一张 提交 重置",
    "使用QQ登录 使用微信登录 使用微博登录",
    "收藏 分享 举报 回复 引用 只看该作者",
]
_ADVERTISEMENTS = [
    "{word}限时特惠，全场五折起，立即抢购！",
    "点击这里免费领取{word}大礼包，先到先得！",
    "加微信了解更多{word}优惠，扫码立减50元",
    "正品{word}，厂家直销，包邮，七天无理由退换",
    "{word}专家在线免费咨询，点击进入",
    "注册即送{word}体验金，天天返利不停",
    "热销{word} 原价¥999 现价¥199 立即购买",
]


def phrases(text: str, draw: random.Random, number: int) -> list[str]:
    """`number` runs of two to six Han characters of the text."""
    runs = _HAN_RUN.findall(text) or ["新闻中心"]
    phrases = []
    for _ in range(number):
        run = draw.choice(runs)
        start = draw.randrange(max(1, len(run) - 3))
        phrases.append(run[start : start + draw.randrange(2, 7)])
    return phrases


def navigation(text: str, draw: random.Random) -> str:
    """A site's menus: names of sections, one a line."""
    items = _MENU + phrases(text, draw, 40)
    draw.shuffle(items)
    return "\n".join(items)


def breadcrumbs(text: str, draw: random.Random) -> str:
    joint = draw.choice((" > ", " » ", " | ", " / "))
    lines = [joint.join(["首页", *phrases(text, draw, draw.randrange(3, 9))]) for _ in range(20)]
    return "\n".join(lines)


def footer(text: str, draw: random.Random) -> str:
    """Copyright, licences and contacts, as at the foot of a page, of several pages."""
    lines = []
    for name in phrases(text, draw, 8):
        lines += draw.sample(_FOOTER, 6)
        lines.append(f"Copyright © 20{draw.randrange(10, 25)} {name}网 版权所有")
        lines.append(f"京ICP备{draw.randrange(10**7, 10**8)}号-{draw.randrange(1, 9)}")
    return "\n".join(lines)


def login_and_download(text: str, draw: random.Random) -> str:
    lines = []
    for name in phrases(text, draw, 10):
        lines += draw.sample(_LOGIN, 5)
        lines.append(
            f"{name} 下载 | 大小：{draw.randrange(1, 900)}MB | 下载次数：{draw.randrange(10**5)}"
        )
    return "\n".join(lines)


def table_of_numbers(text: str, draw: random.Random) -> str:
    names = phrases(text, draw, 25)
    rows = ["\t".join(["名称", "单价", "数量", "涨跌", "成交额"])]
    for name in names:
        cells = [f"{draw.uniform(0, 9999):.{draw.randrange(3)}f}" for _ in range(8)]
        rows.append("\t".join([name, *cells]))
    return "\n".join(rows)


def advertisements(text: str, draw: random.Random) -> str:
    lines = []
    for name in phrases(text, draw, 15):
        lines += [part.format(word=name) for part in draw.sample(_ADVERTISEMENTS, 3)]
        lines.append(f"咨询热线：400-{draw.randrange(1000):03d}-{draw.randrange(10**4):04d}")
    return "\n".join(lines)


def list_of_articles(text: str, draw: random.Random) -> str:
    """Headlines with dates and clicks."""
    lines = [
        f"{name}{draw.choice(phrases(text, draw, 3))} {draw.randrange(2005, 2025)}-"
        f"{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d} 点击：{draw.randrange(9999)}"
        for name in phrases(text, draw, 40)
    ]
    return "\n".join([*lines, "上一页 1 2 3 4 5 6 7 8 9 下一页 尾页", "共 318 页"])


def tags(text: str, draw: random.Random) -> str:
    """A cloud of tags with their counts."""
    return " ".join(f"{word}({draw.randrange(1, 999)})" for word in phrases(text, draw, 120))
