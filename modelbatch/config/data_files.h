// Reads the keys that say which files hold rows: of `[data]` itself, and of
// `[data.validation]` and `[data.test]`. Private to config/.
#ifndef MODELBATCH_CONFIG_DATA_FILES_H_
#define MODELBATCH_CONFIG_DATA_FILES_H_

#include <string>

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// data.format, or what the other keys and the files' names say.
std::string ReadFormat(TableReader* data);

// The keys of the format. With `main`, those of the main files: keys that say
// how to read (header, label, the names in an archive) default to its. Keys of
// other formats are errors. Paths are as they stand.
DataFiles ReadDataFiles(TableReader* table, const std::string& format,
                        const DataFiles* main);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_DATA_FILES_H_
