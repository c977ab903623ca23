// "Did you mean ...?": the name nearest to a misspelt one.
#ifndef MODELBATCH_CONFIG_NEAREST_H_
#define MODELBATCH_CONFIG_NEAREST_H_

#include <string>
#include <vector>

namespace modelbatch {

// Number of insertions, deletions, replacements and swaps of neighbours that
// turn `a` into `b` (optimal string alignment).
int EditDistance(const std::string& a, const std::string& b);

// The name of `names` with the smallest distance to `word`, the first of
// equals; empty when none is near enough to be meant.
std::string NearestName(const std::string& word,
                        const std::vector<std::string>& names);

// "; did you mean \"lr\"?" when a name is near, else "; expected one of: ...".
std::string SuggestName(const std::string& word,
                        const std::vector<std::string>& names);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_NEAREST_H_
