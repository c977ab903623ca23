// How a session is tuned, and what was found: Session::Tune,
// ModelBatch::EnableCompile.
//
//   MB_ASSIGN_OR_RETURN(TuneReport report, batch->EnableCompile());
//   std::cout << report.ToString();
#ifndef MODELBATCH_BACKEND_TUNE_REPORT_H_
#define MODELBATCH_BACKEND_TUNE_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace modelbatch {

struct TuneOptions {
  int64_t time_ms = 1000;  // about how long to measure; 0: only what is cached
  std::string cache;       // a file to read and to write; empty: none
};

// Where a choice is from.
enum class TuneOrigin {
  kDefault,   // not measured: there was no time, or there is no other choice
  kMeasured,  // in this call
  kCached,    // in an earlier call of the process, or in the file
};

// "default", "measured", "cached"
const char* TuneOriginName(TuneOrigin origin);

// What a session runs one kind of operation with.
struct TuneChoice {
  std::string operation;  // "forward 64 x 10 x 128"
  std::string choice;     // "wide tiles, packed"
  TuneOrigin origin = TuneOrigin::kDefault;
  int64_t uses = 0;            // operations of the session that run it
  int64_t candidates = 0;      // choices measured
  double default_seconds = 0;  // of one run with the default; 0: not measured
  double seconds = 0;          // of one run with the choice; 0: not measured
};

struct TuneReport {
  std::vector<TuneChoice> choices;
  std::string notes;   // a line each: what became of the file
  double seconds = 0;  // what the call took

  // How many of `choices` are from there.
  int64_t Count(TuneOrigin origin) const;
  // Time of the session's operations with the choices by that with the
  // defaults, of those that were measured; 1 where none was.
  double Ratio() const;
  // A line for the whole and one for each choice, for people.
  std::string ToString() const;
};

}  // namespace modelbatch

#endif  // MODELBATCH_BACKEND_TUNE_REPORT_H_
