"""What a recipe says about sources and about `dataprep`: frozen models, no heavy import."""

import difflib
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dataprep.config_decontamination import Decontamination
from dataprep.config_duplicates import Exact, NearDuplicates, Spans, Substrings, Survivors
from dataprep.config_models import QUALITY_ONLY, TOXICITY_ONLY, Classifier
from dataprep.config_perplexity import Perplexity, check_languages
from dataprep.config_pii import Pii
from dataprep.config_rights import Rights
from dataprep.language.languages import LANGUAGES
from dataprep.signals.presets import Preset, check, complete, read_language_rules
from launch.config import Model, parse_model
from launch.errors import UserError
from launch.store import is_remote, parse

READABLE_KINDS = ("installed-docs", "jsonl", "csv", "parquet", "arrow", "text", "warc", "html")
# What `columns.meta` may name where a record has no fields of its own.
WEB_FIELDS = {
    "warc": ("warc_date", "warc_record_id", "content_type", "title", "html_language"),
    "html": ("title", "html_language"),
}


class Columns(Model):
    """Which field of a record is what, for jsonl, csv, parquet, arrow; `a.b` is b inside a."""

    text: str = Field("text", min_length=1)
    """Field that holds the text."""
    id: str | None = None
    """Field with an id that is unique in the source; unset: the file's path and the row."""
    url: str | None = None
    """Field that holds the document's address."""
    license: str | None = None
    """Field that holds the document's licence."""
    meta: tuple[str, ...] = ()
    """Fields that are kept, as text, in the column `meta`."""


class Source(Model):
    """A table `[[sources]]`: where the records are and what their fields mean."""

    name: str = Field("python-docs", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the source, unique in the recipe; every id begins with it."""
    kind: str = "installed-docs"
    """installed-docs, jsonl, csv, text, warc, html (these also .gz, .zst), parquet or arrow."""
    paths: tuple[str, ...] = ()
    """Globs of files, below the working directory or s3:// or gs://; `**` stands for any depth."""
    packages: tuple[str, ...] = ()
    """For installed-docs: the distributions to read; empty: the fixed list of the demo's corpus."""
    columns: Columns = Columns()
    """Fields of a record."""
    extractor: Literal["fast", "precise"] = "fast"
    """For warc and html: how the article of a page is found, by resiliparse or by trafilatura."""
    weight: float = Field(1.0, gt=0.0)
    """Weight of the source where documents are sampled, relative to the other sources."""
    license: str | None = None
    """Licence of those documents whose record states none."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        where = f"sources.{self.name}"
        known = ", ".join(READABLE_KINDS)
        if self.kind not in READABLE_KINDS:
            raise UserError(f"{where}.kind", f"'{self.kind}'", f"one of {known}")
        if self.kind == "installed-docs":
            if self.paths:
                raise UserError(f"{where}.paths", "paths", "none for kind 'installed-docs'")
        elif not self.paths:
            raise UserError(f"{where}.paths", "no path", "at least one glob of files")
        schemes = {parse(path).scheme if is_remote(path) else "" for path in self.paths}
        if len(schemes) > 1:
            raise UserError(f"{where}.paths", "paths in several stores", "one source for each")
        if self.packages and self.kind != "installed-docs":
            raise UserError(f"{where}.packages", "packages", f"none for kind '{self.kind}'")
        for name in self.columns.meta if self.kind in WEB_FIELDS else ():
            if name not in WEB_FIELDS[self.kind]:
                expected = f"one of {', '.join(WEB_FIELDS[self.kind])}"
                raise UserError(f"{where}.columns.meta", f"'{name}'", expected)
        return self


class Normalize(Model):
    """Table `[dataprep.normalize]`: what is done to text beyond its one spelling."""

    repair: bool = False
    """Whether text that was decoded with a wrong encoding is repaired (ftfy)."""
    chinese: Literal["keep", "simplified"] = "keep"
    """simplified: traditional characters of Chinese text are converted (OpenCC)."""


class Urls(Model):
    """Table `[dataprep.urls]`: lists, one entry a line (also .gz), that a document's URL meets."""

    blocked_domains: tuple[str, ...] = ()
    """Files of domains; a document of one, or of a domain below it, is dropped."""
    allowed_domains: tuple[str, ...] = ()
    """Files of domains that no other list of this table judges."""
    blocked_urls: tuple[str, ...] = ()
    """Files of addresses that are dropped; scheme, `www.` and a last `/` do not count."""
    blocked_words: tuple[str, ...] = ()
    """Files of words; one of them in an address drops the document."""
    soft_words: tuple[str, ...] = ()
    """Files of words of which an address may hold some."""
    soft_words_max: int = Field(1, ge=0)
    """Most soft words of an address that is kept."""
    blocked_substrings: tuple[str, ...] = ()
    """Files of strings; one of them anywhere in an address, in words too, drops the document."""


class KeywordList(Model):
    """A table `[[dataprep.keywords]]`: a list of words or phrases that texts are searched for."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    """Name of the list: its column is `keywords_NAME`, its reason `keywords.NAME`."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files of words, one a line (also .gz)."""
    allow_paths: tuple[str, ...] = ()
    """Files of words or phrases; what lies wholly inside one of them does not count."""
    languages: tuple[str, ...] = ()
    """Languages whose documents are searched; empty: all."""
    matches_max: int | None = Field(None, ge=0)
    """Most occurrences in a document that is kept; unset: any number."""
    share_max: float | None = Field(None, ge=0.0, le=1.0)
    """Largest share of a text's bytes in such words, 0 to 1; unset: any share."""


class LanguageRules(Model):
    """Tables `[dataprep.language_rules.LANGUAGE]`: what is different for one language."""

    stop_words: tuple[str, ...] = Field((), max_length=64)
    """Commonest words, as they are written; empty: the list that Gristmill has, if any."""
    thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By preset and rule, values in the place of those for all languages."""


class Dataprep(Model):
    """Table `[dataprep]`: everything between reading a source and the written corpus."""

    languages: tuple[str, ...] = ("en", "zh")
    """Languages that are kept, ISO 639-1; empty: all."""
    language_score_min: float = Field(0.5, ge=0.0, le=1.0)
    """Certainty from which a document in another language is dropped, 0 to 1."""
    signals: bool = True
    """Whether language, content and signals are measured; false, for a corpus that was filtered
    before: they are not, `languages` and `presets` must be empty, and the pass is much shorter."""
    language_model: str | None = None
    """Path of a fastText model that tells languages; unset: py3langid's, which comes with it."""
    language_paragraphs: bool = False
    """Whether the share of a document that is in its own language is measured, by paragraph."""
    language_share_min: float = Field(0.0, ge=0.0, le=1.0)
    """Least such share of a document that is kept, 0 to 1."""
    presets: tuple[Preset, ...] = ("gopher", "encoding", "chinese", "code", "mathematics")
    """Sets of rules that are applied; empty: signals are recorded, no rule drops anything."""
    thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By preset and rule, values in the place of the preset's own; docs/rules.md lists them."""
    language_rules: dict[str, LanguageRules] = Field(default_factory=dict)
    """By language, a table as below or the path of a TOML file that holds one."""
    terminal_punctuation: bool = True
    """Whether preset c4 takes out lines that do not end as a sentence does; FineWeb lets them."""
    limit: int | None = Field(None, ge=1)
    """Records that are read, spread over all files: a sample run; unset: all."""
    valid_fraction: float = Field(0.01, ge=0.0, lt=1.0)
    """Share of the kept documents that is set aside for validation, 0 to 1."""
    line_bytes_max: int = Field(33_554_432, ge=1024)
    """Longest line of JSONL and longest record of CSV that is read, bytes."""
    document_bytes_max: int = Field(8_388_608, ge=1024)
    """Longest text, and longest other field of a record, that is read, bytes of UTF-8."""
    page_bytes_max: int = Field(8_388_608, ge=1024)
    """Longest HTML page that is read, bytes as its encoding has them."""
    decompressed_bytes_max: int = Field(68_719_476_736, ge=1024)
    """Most that is read of one compressed file, bytes after decompression."""
    output: str | None = None
    """Store for the finished documents, s3://BUCKET/KEY or gs://; unset: ROOT/documents alone."""
    quarantine_share_max: float = Field(0.05, ge=0.0, le=1.0)
    """Share of unreadable records above which the job stops, 0 to 1."""
    normalize: Normalize = Normalize()
    """Repair and conversion of text."""
    urls: Urls | None = None
    """Lists of domains, addresses and words in them."""
    keywords: tuple[KeywordList, ...] = ()
    """Lists of words in texts."""
    pii: Pii = Pii()
    """Removal of personal data."""
    rights: Rights = Rights()
    """Licences that are kept, and opt-outs."""
    decontamination: Decontamination = Decontamination()
    """Search for items of evaluation sets."""
    survivors: Survivors = Survivors()
    """Which of several duplicates stays."""
    exact: Exact = Exact()
    """Removal of documents that are there twice."""
    near_duplicates: NearDuplicates = NearDuplicates()
    """Removal of near-duplicates."""
    indexes: tuple[str, ...] = ()
    """Directories of indexes (`dataprep index`): what duplicates a document there is dropped."""
    spans: Spans = Spans()
    """Removal of repeated paragraphs, lines or sentences."""
    substrings: Substrings = Substrings()
    """Removal of repeated runs of bytes."""
    quality: Classifier | None = None
    """Quality classifier: what it finds positive with less than its threshold is dropped."""
    toxicity: Classifier | None = None
    """Toxicity classifier: what it finds positive with its threshold or more is dropped."""
    perplexity: Perplexity | None = None
    """How surprising documents are to a model of good text in their language."""

    @field_validator("language_rules", mode="before")
    @classmethod
    def _read_language_rules(cls, tables: Any) -> Any:
        if not isinstance(tables, dict):
            return tables
        read = {}
        for name, value in tables.items():
            table = read_language_rules(name, value)
            where = f"dataprep.language_rules.{name}"
            parsed = isinstance(table, LanguageRules)
            read[name] = table if parsed else parse_model(LanguageRules, table, where)
        return read

    @model_validator(mode="after")
    def _complete_thresholds(self) -> Self:
        """Write out every threshold, so that a manifest says which ones were applied."""
        for name, table in self.language_rules.items():
            where = f"dataprep.language_rules.{name}.thresholds"
            check(self.presets, table.thresholds, where)
        # The model is frozen for everyone but its own validators.
        object.__setattr__(self, "thresholds", complete(self.presets, self.thresholds))
        return self

    @model_validator(mode="after")
    def _check_signals(self) -> Self:
        needing = {
            "languages": self.languages,
            "presets": self.presets,
            "language_paragraphs": self.language_paragraphs,
            "keywords.*.languages": any(table.languages for table in self.keywords),
            "perplexity": self.perplexity is not None,
        }
        for key in [key for key, used in needing.items() if used and not self.signals]:
            where, hint = f"dataprep.{key}", "without signals nothing is known that it could judge"
            raise UserError(where, "a value", "none, because dataprep.signals = false", hint)
        return self

    @model_validator(mode="after")
    def _check_output(self) -> Self:
        if self.output is not None and not parse(self.output).key:
            expected = "s3://BUCKET/KEY: documents have a place of their own in the bucket"
            raise UserError("dataprep.output", f"'{self.output}'", expected)
        return self

    @model_validator(mode="after")
    def _check_classifiers(self) -> Self:
        for name, others in (("quality", TOXICITY_ONLY), ("toxicity", QUALITY_ONLY)):
            table = getattr(self, name)
            if table is None:
                continue
            for key in others:
                if getattr(table, key) != type(table).model_fields[key].get_default(
                    call_default_factory=True
                ):
                    raise UserError(f"dataprep.{name}.{key}", "a value", f"none: not for {name}")
            if len(table.languages) > 1 and not self.signals:
                where = f"dataprep.{name}.labels"
                raise UserError(where, "several languages", "one, because signals = false")
        if self.toxicity is not None and self.toxicity.mode == "cut" and self.toxicity.drop_budget:
            where = "dataprep.toxicity.drop_budget"
            raise UserError(where, "a budget", "none with mode = 'cut', which drops sentences")
        if self.quality is not None and len(self.quality.categories("quality")) > 1:
            raise UserError("dataprep.quality.labels", "several categories", "one")
        return self

    @model_validator(mode="after")
    def _check_keywords(self) -> Self:
        names = [table.name for table in self.keywords]
        for name in names:
            if names.count(name) > 1:
                raise UserError("dataprep.keywords", f"two lists '{name}'", "a name for each")
        return self

    @model_validator(mode="after")
    def _check_languages(self) -> Self:
        check_languages(self.perplexity, self.language_model)
        if self.language_share_min > 0 and not self.language_paragraphs:
            where, got = "dataprep.language_share_min", f"{self.language_share_min:g}"
            raise UserError(where, got, "0, or dataprep.language_paragraphs = true")
        if self.language_model is not None:
            return self  # its own labels are what can be asked for: language_model.py checks them
        for language in self.languages:
            if language not in LANGUAGES:
                close = difflib.get_close_matches(language, sorted(LANGUAGES), n=3, cutoff=0.5)
                near = ", ".join(close)
                hint = f"near it: {near}" if close else "dataprep/language/languages.py lists them"
                where = "dataprep.languages"
                raise UserError(where, f"'{language}'", "codes that the classifier knows", hint)
        return self
