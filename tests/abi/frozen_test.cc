// c_api.h still is what 1.0 was: each struct begins with 1.0's fields, those in
// arrays and other structs have no others, and numbers, macros and types are
// the same. Compares the text, so that nothing can be left out.
//
//   frozen_test c_api_1_0.h c_api.h c_api_1_2.h
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

using ::testing::HasSubstr;

std::string frozen_text, today_text, next_text;

std::string OneSpace(const std::string& text) {
  const std::string spaced = std::regex_replace(text, std::regex("\\s+"), " ");
  const size_t begin = spaced.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return spaced.substr(begin, spaced.find_last_not_of(' ') - begin + 1);
}

struct Header {
  std::map<std::string, std::vector<std::string>> structs;  // their fields
  std::map<std::string, std::string> constants;             // of all enums
  std::map<std::string, std::string> macros;
  std::vector<std::string> rest;  // other declarations, in order
};

Header Parse(std::string text) {
  text = std::regex_replace(text, std::regex("/\\*[^*]*\\*+([^/*][^*]*\\*+)*/"),
                            " ");
  text = std::regex_replace(text, std::regex("\\\\\n"), " ");
  text = std::regex_replace(text, std::regex("#ifdef __cplusplus\n[^#]*#endif"),
                            "");
  Header header;
  std::istringstream lines(text);
  std::string line, code;
  std::smatch match;
  while (std::getline(lines, line)) {
    static const std::regex macro("#define (\\w+(?:\\([^)]*\\))?)(.*)");
    if (std::regex_match(line, match, macro)) {
      header.macros[match[1]] = OneSpace(match[2]);
    } else if (line.empty() || line[0] != '#') {
      code += line + "\n";
    }
  }
  // Declarations end with a ';' that is in no braces.
  std::string declaration;
  int depth = 0;
  for (const char c : code) {
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    if (c != ';' || depth > 0) {
      declaration += c;
      continue;
    }
    declaration = OneSpace(declaration);
    static const std::regex a_struct("typedef struct \\w+ \\{(.*)\\} (\\w+)");
    static const std::regex an_enum("enum \\{(.*)\\}");
    if (std::regex_match(declaration, match, a_struct)) {
      std::vector<std::string>& fields = header.structs[match[2]];
      std::istringstream body(match[1]);
      for (std::string field; std::getline(body, field, ';');) {
        if (!OneSpace(field).empty()) fields.push_back(OneSpace(field));
      }
    } else if (std::regex_match(declaration, match, an_enum)) {
      std::istringstream body(match[1]);
      for (std::string entry; std::getline(body, entry, ',');) {
        const size_t equal = entry.find('=');
        header.constants[OneSpace(entry.substr(0, equal))] =
            OneSpace(entry.substr(equal + 1));
      }
    } else {
      header.rest.push_back(declaration);
    }
    declaration.clear();
  }
  return header;
}

// What of `frozen` is no longer so, a line each.
std::string Differences(const std::string& frozen, const std::string& today) {
  const Header was = Parse(frozen), is = Parse(today);
  std::string out;
  for (const auto& [name, fields] : was.structs) {
    const auto it = is.structs.find(name);
    const std::vector<std::string> now =
        it == is.structs.end() ? std::vector<std::string>() : it->second;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i >= now.size() || now[i] != fields[i]) {
        out += name + ": was \"" + fields[i] + "\"\n";
      }
    }
    const bool grows = fields[0] == "MB_Header header";
    if (!grows && now.size() > fields.size()) out += name + " has grown\n";
  }
  const auto compare = [&out](const auto& old_values, const auto& values) {
    for (const auto& [name, value] : old_values) {
      if (name == "MB_ABI_MINOR") continue;
      const auto it = values.find(name);
      if (it == values.end() || it->second != value) {
        out += name + ": was \"" + value + "\"\n";
      }
    }
  };
  compare(was.constants, is.constants);
  compare(was.macros, is.macros);
  for (const std::string& declaration : was.rest) {
    bool there = false;
    for (const std::string& now : is.rest) there = there || now == declaration;
    if (!there) out += "gone: " + declaration + "\n";
  }
  return out;
}

TEST(Frozen, TheHeaderOfToday) {
  EXPECT_EQ(Differences(frozen_text, today_text), "");
}

// What the comparison is worth: it has read the header's parts.
TEST(Frozen, EverythingIsRead) {
  const Header header = Parse(frozen_text);
  EXPECT_EQ(header.structs.size(), 32u);
  EXPECT_EQ(header.structs.at("MB_PluginApi").size(), 28u);
  EXPECT_EQ(header.constants.size(), 43u);
  EXPECT_EQ(header.macros.at("MB_ABI_MAJOR"), "1");
  EXPECT_EQ(header.macros.at("MB_ABI_MINOR"), "0");
  EXPECT_EQ(header.macros.count("MB_HAS(pointer, type, field)"), 1u);
}

TEST(Frozen, EveryChangeIsSeen) {
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string text = frozen_text;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return Differences(frozen_text, text);
  };
  EXPECT_EQ(changed("int64_t max_rows;", "int64_t max_rows ;"), "");
  EXPECT_EQ(changed("size_t num_operators;", "size_t num_operators; int more;"),
            "");
  EXPECT_EQ(changed("#define MB_ABI_MINOR 0", "#define MB_ABI_MINOR 7"), "");
  EXPECT_THAT(changed("int64_t max_rows;", "int32_t max_rows;"),
              HasSubstr("MB_SessionCompileArgs: was \"int64_t max_rows\""));
  EXPECT_THAT(changed("const char* loss;", ""), HasSubstr("const char* loss"));
  EXPECT_THAT(changed("uint8_t* outcomes;", "int x; uint8_t* outcomes;"),
              HasSubstr("MB_TrainStepArgs: was \"uint8_t* outcomes\""));
  EXPECT_THAT(
      changed("size_t num_attributes;", "size_t num_attributes; int x;"),
      HasSubstr("MB_Operator has grown"));
  EXPECT_THAT(changed("MB_VALUE_BYTES = 6", "MB_VALUE_BYTES = 7"),
              HasSubstr("MB_VALUE_BYTES: was \"6\""));
  EXPECT_THAT(changed("MB_STEP_ACCUMULATE = 4", "MB_STEP_OTHER = 4"),
              HasSubstr("MB_STEP_ACCUMULATE"));
  EXPECT_THAT(changed("#define MB_ABI_MAJOR 1", "#define MB_ABI_MAJOR 2"),
              HasSubstr("MB_ABI_MAJOR: was \"1\""));
  EXPECT_THAT(changed("Function)(const MB_HostApi* host)", "Function)(void)"),
              HasSubstr("gone: typedef const MB_PluginApi*"));
}

// The test header: each struct that may grow has, and nothing else changed.
TEST(Frozen, InTheNextMinorEveryStructHasGrown) {
  EXPECT_EQ(Differences(today_text, next_text), "");
  const Header was = Parse(today_text), is = Parse(next_text);
  EXPECT_EQ(is.macros.at("MB_ABI_MINOR"), "2");
  for (const auto& [name, fields] : was.structs) {
    const size_t more = fields[0] == "MB_Header header" ? 2 : 0;
    EXPECT_EQ(is.structs.at(name).size(), fields.size() + more) << name;
  }
}

std::string Read(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 4) {
    std::cerr << "frozen_test c_api_1_0.h c_api.h c_api_1_2.h\n";
    return 1;
  }
  frozen_text = Read(argv[1]);
  today_text = Read(argv[2]);
  next_text = Read(argv[3]);
  return RUN_ALL_TESTS();
}
