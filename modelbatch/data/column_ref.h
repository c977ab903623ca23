// Names a column of a table of data.
#ifndef MODELBATCH_DATA_COLUMN_REF_H_
#define MODELBATCH_DATA_COLUMN_REF_H_

#include <cstdint>
#include <string>

namespace modelbatch {

struct ColumnRef {
  int64_t index = 0;  // from 0, or from the end when negative
  std::string name;   // of the header; empty: by index
};

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_COLUMN_REF_H_
