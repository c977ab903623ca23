#include "backends/cpu/tuning_table.h"

#include <cmath>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/processor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cpu {
namespace {

constexpr char kFormat[] = "modelbatch cpu tuning ";
constexpr int kVersion = 1;
constexpr const char* kProducts[] = {"forward", "weight_gradient",
                                     "input_gradient"};
constexpr int kFields = 10;  // of a line; the last is the rest of it

absl::Status AtLine(size_t line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

absl::StatusOr<Product> ParseProduct(const std::string& text, size_t line) {
  for (size_t i = 0; i < std::size(kProducts); ++i) {
    if (text == kProducts[i]) return static_cast<Product>(i);
  }
  return AtLine(line, absl::StrCat("found \"", text,
                                   "\", expected forward, weight_gradient or "
                                   "input_gradient"));
}

// One of two words.
absl::StatusOr<bool> ParseWord(const std::string& text, const char* yes,
                               const char* no, size_t line) {
  if (text == yes || text == no) return text == yes;
  return AtLine(
      line, absl::StrCat("found \"", text, "\", expected ", yes, " or ", no));
}

absl::StatusOr<int64_t> ParseSize(const std::string& text, size_t line) {
  int64_t size = 0;
  if (absl::SimpleAtoi(text, &size) && size >= 0) return size;
  return AtLine(line, absl::StrCat("found \"", text, "\", expected a size"));
}

absl::StatusOr<double> ParseMicroseconds(const std::string& text, size_t line) {
  double microseconds = 0;
  if (absl::SimpleAtod(text, &microseconds) && std::isfinite(microseconds) &&
      microseconds >= 0) {
    return microseconds * 1e-6;
  }
  return AtLine(line,
                absl::StrCat("found \"", text, "\", expected microseconds"));
}

}  // namespace

std::string ProductShape::ToString() const {
  return absl::StrCat(kProducts[static_cast<int>(product)], " ", m, " x ", n,
                      " x ", k);
}

std::string TilingName(const GemmTiling& tiling) {
  return absl::StrCat(tiling.wide ? "wide" : "narrow", " tiles",
                      tiling.pack ? ", packed" : "");
}

std::optional<TunedProduct> TuningTable::Find(const std::string& kernels,
                                              const ProductShape& shape) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = entries_.find({processor_, kernels, shape});
  if (it == entries_.end()) return std::nullopt;
  return it->second;
}

void TuningTable::Add(const std::string& kernels, const ProductShape& shape,
                      const TunedProduct& tuned) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_[{processor_, kernels, shape}] = tuned;
}

absl::Status TuningTable::Parse(const std::string& text, Entries* entries) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  const std::string format = absl::StrCat(kFormat, kVersion);
  if (lines[0] != format) {
    return AtLine(1, absl::StrCat("found \"", lines[0].substr(0, 40),
                                  "\", expected \"", format, "\""));
  }
  const auto truncated = [&](const std::string& why) {
    return absl::DataLossError(absl::StrCat("truncated: ", why));
  };
  // The last line ends as well.
  if (lines.size() < 3 || !lines.back().empty()) {
    return truncated("it does not end with a line \"end\"");
  }
  const size_t end = lines.size() - 2;
  for (size_t i = 1; i < end; ++i) {
    const size_t line = i + 1;
    const std::vector<std::string> words =
        absl::StrSplit(lines[i], absl::MaxSplits(' ', kFields - 1));
    if (words.size() != kFields || words[9].empty()) {
      return AtLine(line, absl::StrCat("found ", words.size(),
                                       " words, expected ", kFields));
    }
    Key key;
    TunedProduct tuned;
    key.kernels = words[0];
    MB_ASSIGN_OR_RETURN(key.shape.product, ParseProduct(words[1], line));
    MB_ASSIGN_OR_RETURN(key.shape.m, ParseSize(words[2], line));
    MB_ASSIGN_OR_RETURN(key.shape.n, ParseSize(words[3], line));
    MB_ASSIGN_OR_RETURN(key.shape.k, ParseSize(words[4], line));
    MB_ASSIGN_OR_RETURN(tuned.tiling.wide,
                        ParseWord(words[5], "wide", "narrow", line));
    MB_ASSIGN_OR_RETURN(tuned.tiling.pack,
                        ParseWord(words[6], "packed", "direct", line));
    MB_ASSIGN_OR_RETURN(tuned.default_seconds,
                        ParseMicroseconds(words[7], line));
    MB_ASSIGN_OR_RETURN(tuned.seconds, ParseMicroseconds(words[8], line));
    key.processor = words[9];
    if (!entries->emplace(std::move(key), tuned).second) {
      return AtLine(line, "the same product as on an earlier line");
    }
  }
  const std::string last = absl::StrCat("end ", entries->size());
  if (lines[end] != last) {
    return truncated(absl::StrCat("found \"", lines[end].substr(0, 40),
                                  "\" after ", entries->size(),
                                  " products, expected \"", last, "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<TuningTable::Entries> TuningTable::ReadEntries(
    const std::string& path) {
  MB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Entries entries;
  if (const absl::Status status = Parse(text, &entries); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("tuning file '", path,
                                                    "': ", status.message()));
  }
  return entries;
}

absl::Status TuningTable::Read(const std::string& path, std::string* notes) {
  absl::StatusOr<Entries> found = ReadEntries(path);
  if (absl::IsNotFound(found.status())) {
    absl::StrAppend(notes, path, " is not there yet\n");
    return absl::OkStatus();
  }
  MB_ASSIGN_OR_RETURN(Entries entries, std::move(found));
  int64_t own = 0;
  for (const auto& [key, unused] : entries) own += key.processor == processor_;
  absl::StrAppend(notes, "read ", own, " products of this processor from ",
                  path);
  if (const int64_t others = static_cast<int64_t>(entries.size()) - own;
      others > 0) {
    absl::StrAppend(notes, ", ignored ", others, " of others");
  }
  absl::StrAppend(notes, "\n");
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.merge(entries);
  return absl::OkStatus();
}

absl::Status TuningTable::AddTo(const std::string& path,
                                std::string* notes) const {
  // Another process may have written it since it was read.
  absl::StatusOr<Entries> found = ReadEntries(path);
  if (absl::IsNotFound(found.status())) found = Entries();
  MB_ASSIGN_OR_RETURN(Entries all, std::move(found));
  const size_t before = all.size();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    all.insert(entries_.begin(), entries_.end());
  }
  if (all.size() == before) return absl::OkStatus();
  std::string text = absl::StrCat(kFormat, kVersion, "\n");
  for (const auto& [key, tuned] : all) {
    const ProductShape& shape = key.shape;
    absl::StrAppend(&text, key.kernels, " ",
                    kProducts[static_cast<int>(shape.product)], " ", shape.m,
                    " ", shape.n, " ", shape.k,
                    tuned.tiling.wide ? " wide" : " narrow",
                    tuned.tiling.pack ? " packed " : " direct ",
                    absl::StrFormat("%.3f %.3f ", tuned.default_seconds * 1e6,
                                    tuned.seconds * 1e6),
                    key.processor, "\n");
  }
  absl::StrAppend(&text, "end ", all.size(), "\n");
  MB_RETURN_IF_ERROR(WriteFileAtomically(path, text));
  absl::StrAppend(notes, "wrote ", all.size(), " products to ", path, "\n");
  return absl::OkStatus();
}

TuningTable& GlobalTuningTable() {
  static auto* const table = new TuningTable(ProcessorName());
  return *table;
}

}  // namespace modelbatch::cpu
