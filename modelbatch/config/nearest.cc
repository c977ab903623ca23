#include "modelbatch/config/nearest.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {

int EditDistance(const std::string& a, const std::string& b) {
  const size_t columns = b.size() + 1;
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(columns, 0));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      const bool swapped =
          i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string NearestName(const std::string& word,
                        const std::vector<std::string>& names) {
  // Further than about a third of the longer word is another word.
  std::string nearest;
  int best = 0;
  for (const std::string& name : names) {
    const int longest = static_cast<int>(std::max(word.size(), name.size()));
    const int limit = (longest + 2) / 3;
    const int distance = EditDistance(word, name);
    // Not a letter in common is far, however short the names are.
    if (distance > limit || distance == longest) continue;
    if (nearest.empty() || distance < best) {
      nearest = name;
      best = distance;
    }
  }
  return nearest;
}

std::string SuggestName(const std::string& word,
                        const std::vector<std::string>& names) {
  const std::string nearest = NearestName(word, names);
  if (!nearest.empty()) {
    return absl::StrCat("; did you mean \"", nearest, "\"?");
  }
  if (names.empty()) return "";
  return absl::StrCat("; expected one of: ", absl::StrJoin(names, ", "));
}

}  // namespace modelbatch
