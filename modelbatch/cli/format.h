// Numbers as a person reads them.
#ifndef MODELBATCH_CLI_FORMAT_H_
#define MODELBATCH_CLI_FORMAT_H_

#include <cstdint>
#include <string>

namespace modelbatch {

// "0:07", "12:34", "1:02:03"; "-:--" for what is not finite or above a year.
std::string FormatDuration(double seconds);

// Three significant digits: "912", "1.23k", "45.6M".
std::string FormatCount(double count);

// "97.8 %"; "-" for NaN.
std::string FormatPercent(double fraction);

// Four significant digits: "0.0123", "1.23e-05"; "-" for NaN.
std::string FormatNumber(double value);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_FORMAT_H_
