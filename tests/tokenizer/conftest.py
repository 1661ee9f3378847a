"""A corpus in two languages from what every Python has, laid out as `documents/` promises."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from dataprep import contract
from launch.manifest import FileEntry, Manifest, digest_file, write_manifest
from launch.recipe import Recipe

CHINESE = (
    "磨坊把谷物碾成面粉，再把面粉装进袋子。",
    "这个程序读取文本，删除重复的段落，然后训练模型。",
    "今天的天气很好，我们去公园散步吧！",
    "语言模型根据前面的词预测下一个词。",
    "他说：“数据的质量比数量更重要。”",
    "第三章介绍了分词器的原理与实现；第四章讨论并行训练。",
    "在二十世纪九十年代，计算机开始进入普通家庭。",
    "请先安装依赖，再运行测试（大约需要五分钟）。",
    "河水从山谷里流出来，经过村庄和田野，最后流入大海。",
    "孩子们在院子里种下一棵苹果树，每天给它浇水。",
)


@dataclass(frozen=True)
class Text:
    """A document of a test corpus."""

    id: str
    text: str
    source: str = "topics"
    language: str = "en"

    @property
    def content_hash(self) -> bytes:
        return xxhash.xxh3_128_digest(self.text.encode())


def english_texts() -> list[Text]:
    """Some 700 kB of Python's own help topics."""
    return [Text(f"topics:{name}", text) for name, text in sorted(topics.items())]


def chinese_texts(count: int) -> list[Text]:
    draw = random.Random(7)
    return [
        Text(
            f"zh:{number}",
            "\n\n".join("".join(draw.choices(CHINESE, k=draw.randint(1, 9))) for _ in range(6)),
            source="sentences",
            language="zh",
        )
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def corpus() -> list[Text]:
    return [*english_texts(), *chinese_texts(60)]


def write_part(path: Path, texts: Sequence[Text], row_group_rows: int = 50) -> None:
    """One Parquet file with the columns that dataprep's contract promises."""
    schema = pa.schema(contract.document_fields())
    columns: dict[str, list[Any]] = {
        "id": [text.id for text in texts],
        "content_hash": [text.content_hash for text in texts],
        "text": [text.text for text in texts],
        "source": [text.source for text in texts],
        "language": [text.language for text in texts],
        "language_score": [1.0 for _ in texts],
        "meta": [[] for _ in texts],
        "removed_bytes": [[] for _ in texts],
    }
    arrays = [
        pa.array(columns.get(name, [None] * len(texts)), schema.field(name).type)
        for name in schema.names
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, schema=schema), path, row_group_size=row_group_rows)


def write_documents(directory: Path, parts: Mapping[str, Sequence[Sequence[Text]]]) -> Manifest:
    """A finished `documents/`: for each split, the texts of each of its files."""
    entries = []
    splits = {}
    for split, files in parts.items():
        for number, texts in enumerate(files):
            relative = f"kept/{split}/part-{number:05}.parquet"
            path = directory / relative
            write_part(path, texts)
            entries.append(FileEntry(relative, len(texts), path.stat().st_size, digest_file(path)))
        everything = [text for texts in files for text in texts]
        splits[split] = {
            "documents": len(everything),
            "bytes": sum(len(text.text.encode()) for text in everything),
        }
    manifest = Manifest(contract.KIND, contract.VERSION, {}, (), tuple(entries), {"splits": splits})
    write_manifest(directory, manifest)
    return manifest


def dealt(texts: Sequence[Text], num_files: int) -> list[list[Text]]:
    return [list(texts[number::num_files]) for number in range(num_files)]


@dataclass(frozen=True)
class Laboratory:
    """What the tests of this folder build with."""

    write_documents: Callable[..., Manifest] = write_documents
    write_part: Callable[..., None] = write_part
    text: type[Text] = Text
    dealt: Callable[..., list[list[Text]]] = dealt
    chinese_texts: Callable[[int], list[Text]] = chinese_texts

    def recipe(self, root: Path, **tokenizer: Any) -> Recipe:
        """A recipe for a small vocabulary below `root`."""
        table = {"vocab_size": 1500, "evaluation_bytes": 200_000, **tokenizer}
        return Recipe.from_dict({"run": {"root": str(root)}, "tokenizer": table})


@pytest.fixture(scope="session")
def laboratory() -> Laboratory:
    return Laboratory()


@dataclass(frozen=True)
class Mill:
    """A root with documents, a trained tokenizer and nothing else."""

    recipe: Recipe
    documents: Manifest
    manifest: Manifest
    texts: dict[str, list[Text]]


@pytest.fixture(scope="session")
def mill(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[Text], laboratory: Laboratory
) -> Mill:
    from tokenizer import train

    root = tmp_path_factory.mktemp("mill")
    texts = {"train": corpus[10:], "valid": corpus[:10]}
    # Three files of train, one of them without documents, as a shard that lost them all leaves.
    parts = {"train": [*dealt(texts["train"], 2), []], "valid": [texts["valid"]]}
    documents = write_documents(root / "documents", parts)
    recipe = laboratory.recipe(root)
    manifest = train.run(recipe)
    assert manifest is not None
    return Mill(recipe, documents, manifest, texts)
