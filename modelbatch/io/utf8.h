// Whether text is what its readers will take for text.
#ifndef MODELBATCH_IO_UTF8_H_
#define MODELBATCH_IO_UTF8_H_

#include <string_view>

namespace modelbatch {

// Well-formed UTF-8 (Unicode 15, table 3-7): no surrogates, no overlong forms.
bool IsValidUtf8(std::string_view text);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_UTF8_H_
