#include "modelbatch/data/csv_reader.h"

#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

CsvOptions Regression(std::vector<ColumnRef> label) {
  CsvOptions options;
  options.classes = false;
  options.label = std::move(label);
  return options;
}

std::vector<float> Values(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

std::vector<int64_t> Classes(const DataTable& table) {
  return {table.targets.data<int64_t>(),
          table.targets.data<int64_t>() + table.targets.size()};
}

TEST(ParseCsvTest, LastColumnIsTheClass) {
  CsvOptions options;
  options.scale = 0.5;
  const auto table = ParseCsv("1,2,0\n3,-4.5e1,2\n", "d.csv", options);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->features.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values(table->features), (std::vector<float>{0.5, 1, 1.5, -22.5}));
  EXPECT_EQ(Classes(*table), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(table->num_classes, 3);
  EXPECT_EQ(table->where(1), "d.csv:2: column 3");
}

// One meaning, however a program wrote it down.
TEST(ParseCsvTest, ToleratesHowItIsWritten) {
  for (const char* text :
       {"1,2,0\n3,4,1\n", "1,2,0\n3,4,1", "1,2,0\r\n3,4,1\r\n",
        " 1 ,\t2, 0 \n\n  \n+3,4,1.0\n", "\"1\",\"2\",0\n3,\"4\" ,1",
        "\xEF\xBB\xBF"
        "1,2,0\n3,4,1\n"}) {
    const auto table = ParseCsv(text, "d.csv", {});
    ASSERT_TRUE(table.ok()) << table.status() << " in " << text;
    EXPECT_EQ(Values(table->features), (std::vector<float>{1, 2, 3, 4}));
    EXPECT_EQ(Classes(*table), (std::vector<int64_t>{0, 1}));
  }
}

TEST(ParseCsvTest, LabelsByNameAndSeveral) {
  CsvOptions options = Regression({{0, "y"}, {0, "a \"b\""}});
  options.header = true;
  const auto table =
      ParseCsv("x,\"a \"\"b\"\"\",y\n1,2,3\n4,5,6\n", "d.csv", options);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Values(table->features), (std::vector<float>{1, 4}));
  EXPECT_EQ(table->targets.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values(table->targets), (std::vector<float>{3, 2, 6, 5}));
  EXPECT_EQ(table->where(1), "d.csv:3: column 3");
}

struct BadCsv {
  const char* text;
  const char* message;
};

TEST(ParseCsvTest, ErrorsNameLineAndColumn) {
  const BadCsv cases[] = {
      {"", "d.csv: has no rows of data"},
      {"\n \n", "d.csv: has no rows of data"},
      {"1,2,0\n3,1\n",
       "d.csv:2: the row has 2 columns, expected 3 as in the first one"},
      {"1,2,0\n\n3,4,5,1\n",
       "d.csv:3: the row has 4 columns, expected 3 as in the first one"},
      {"1,x,0\n", "d.csv:1: column 2: \"x\" is not a number"},
      {"1,2 3,0\n", "d.csv:1: column 2: \"2 3\" is not a number"},
      {"1,,0\n", "d.csv:1: column 2: is empty, expected a number"},
      {"1,2,0,\n", "d.csv:1: column 4: is empty, expected a number"},
      {"1,nan,0\n", "d.csv:1: column 2: \"nan\" is not a finite number"},
      {"1,2,0\ninf,2,0\n", "d.csv:2: column 1: \"inf\" is not a finite number"},
      {"1e999,2,0\n", "d.csv:1: column 1: \"1e999\" is not a finite number"},
      {"1e300,2,0\n", "d.csv:1: column 1: \"1e300\" is too large for a float"},
      {"1,2,0.5\n", "d.csv:1: column 3: label \"0.5\" is not an integer"},
      {"1,2,-1\n",
       "d.csv:1: column 3: label \"-1\" is out of range, expected 0 to "
       "16777215"},
      {"1,2,cat\n", "d.csv:1: column 3: \"cat\" is not a number"},
      {"1,\"2,0\n", "d.csv:1: column 2: a quote is not closed on its line"},
      {"1,\"2\"3,0\n", "d.csv:1: column 2: text after a closing quote"},
      {"5\n6\n",
       "d.csv:1: the row has 1 column, expected at least one beside the label"},
      // Other dialects, by what they look like here.
      {"5;1;0\n6;2;1\n",
       "d.csv:1: the row has 1 column, expected at least one beside the label; "
       "columns are separated by commas, found \";\""},
      {"a,b,y\n1,2,0\n",
       "d.csv:1: column 1: \"a\" is not a number; is it a header? Then say "
       "header = true"},
      {"1,2,0\na,b,y\n", "d.csv:2: column 1: \"a\" is not a number"},
      // Nothing reaches a terminal as it stands.
      {"1,\x1b[2J,0\n", "d.csv:1: column 2: \"\\x1b[2J\" is not a number"},
  };
  for (const BadCsv& bad : cases) {
    const auto table = ParseCsv(bad.text, "d.csv", {});
    ASSERT_FALSE(table.ok()) << bad.text;
    EXPECT_EQ(table.status().message(), bad.message);
  }
}

TEST(ParseCsvTest, RefusesLabelsThatAreNotThere) {
  CsvOptions options = Regression({{0, "z"}});
  options.header = true;
  EXPECT_EQ(ParseCsv("x1,y\n1,2\n", "d.csv", options).status().message(),
            "d.csv:1: no column is named \"z\"; expected one of: x1, y");
  options.label = {{0, "y"}};
  EXPECT_EQ(ParseCsv("x1,y,y\n1,2,3\n", "d.csv", options).status().message(),
            "d.csv:1: columns 2 and 3 are named \"y\", expected one of the "
            "name");
  EXPECT_EQ(
      ParseCsv("1,2\n", "d.csv", Regression({{2, ""}})).status().message(),
      "d.csv:1: there is no column with index 2 for the label: the row has 2 "
      "columns");
  EXPECT_EQ(
      ParseCsv("1,2\n", "d.csv", Regression({{-3, ""}})).status().message(),
      "d.csv:1: there is no column with index -3 for the label: the row has 2 "
      "columns");
  EXPECT_EQ(ParseCsv("1,2\n", "d.csv", Regression({{1, ""}, {-1, ""}}))
                .status()
                .message(),
            "d.csv:1: column 2 is a label more than once");
}

// Where the number of features is known, rows may come without labels.
TEST(ParseCsvTest, LabelsMayBeMissingWhereTheFeaturesAreKnown) {
  CsvOptions options;
  options.features = 2;
  options.scale = 0.5;
  const auto labelled = ParseCsv("2,4,1\n", "d.csv", options);
  ASSERT_TRUE(labelled.ok()) << labelled.status();
  EXPECT_TRUE(labelled->has_targets());
  EXPECT_EQ(Classes(*labelled), (std::vector<int64_t>{1}));
  EXPECT_EQ(Values(labelled->features), (std::vector<float>{1, 2}));
  const auto rows = ParseCsv("2,4\n6,8\n", "d.csv", options);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_FALSE(rows->has_targets());
  EXPECT_FALSE(rows->has_classes());
  EXPECT_EQ(rows->targets.shape(), (Shape{0}));
  EXPECT_EQ(rows->features.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values(rows->features), (std::vector<float>{1, 2, 3, 4}));

  // A label in front.
  options.label = {{0, ""}};
  EXPECT_EQ(Values(ParseCsv("1,2,4\n", "d.csv", options)->features),
            (std::vector<float>{1, 2}));
  EXPECT_EQ(Values(ParseCsv("2,4\n", "d.csv", options)->features),
            (std::vector<float>{1, 2}));

  // A header tells by the labels' names.
  options = Regression({{0, "y"}, {0, "z"}});
  options.header = true;
  options.features = 1;
  const auto named = ParseCsv("z,x,y\n3,1,2\n", "d.csv", options);
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(Values(named->targets), (std::vector<float>{2, 3}));
  const auto bare = ParseCsv("x\n1\n", "d.csv", options);
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_FALSE(bare->has_targets());
}

TEST(ParseCsvTest, RefusesOtherNumbersOfFeatures) {
  const auto message = [](const char* text, const CsvOptions& options) {
    return std::string(ParseCsv(text, "d.csv", options).status().message());
  };
  CsvOptions options;
  options.features = 3;
  EXPECT_EQ(message("1,2\n", options),
            "d.csv:1: the row has 2 columns, expected 3, or 4 with the label");
  EXPECT_EQ(message("1,2,3,4,5\n", options),
            "d.csv:1: the row has 5 columns, expected 3, or 4 with the label");
  EXPECT_EQ(message("1\n", options),
            "d.csv:1: the row has 1 column, expected 3, or 4 with the label");
  // The first row decides.
  EXPECT_EQ(message("1,2,3\n1,2,3,0\n", options),
            "d.csv:2: the row has 4 columns, expected 3 as in the first one");
  EXPECT_EQ(message("", options), "d.csv: has no rows of data");
  options = Regression({{0, "y"}, {0, "z"}});
  options.header = true;
  options.features = 1;
  EXPECT_EQ(message("x,y\n1,2\n", options),
            "d.csv:1: there is the label \"y\" but not \"z\", expected all "
            "labels or none");
  EXPECT_EQ(message("y,z\n1,2\n", options),
            "d.csv:1: the row has 2 columns, expected 3 with the labels");
  options.label = {{0, "digit"}};
  EXPECT_EQ(message("x,digt\n1,2\n", options),
            "d.csv:1: the row has 2 columns, expected 1, or 2 with the label; "
            "no column is named \"digit\"; did you mean \"digt\"?");
  EXPECT_EQ(message("digit\n1\n", options),
            "d.csv:1: the row has 1 column, expected 2 with the label");
}

TEST(CheckClassesTest, NamesTheFirstLabelOutOfRange) {
  const auto table = ParseCsv("1,0\n2,3\n3,9\n", "d.csv", {});
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(CheckClasses(*table, 10).ok());
  EXPECT_TRUE(CheckClasses(*table, 11).ok());
  EXPECT_EQ(CheckClasses(*table, 3).message(),
            "d.csv:2: column 2: label 3 is out of range, expected 0 to 2: the "
            "model has 3 outputs");
  EXPECT_EQ(CheckClasses(*table, 9).message(),
            "d.csv:3: column 2: label 9 is out of range, expected 0 to 8: the "
            "model has 9 outputs");
}

TEST(CheckClassesTest, AnIgnoredClassDoesNotCount) {
  CsvOptions options;
  for (const int64_t ignored : {-100, 1, 255}) {
    options.ignored_class = ignored;
    const std::string label = std::to_string(ignored);
    const auto table =
        ParseCsv("1,0\n2," + label + "\n3,3\n", "d.csv", options);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_EQ(table->targets.data<int64_t>()[1], ignored);
    EXPECT_EQ(table->num_classes, 4);
    EXPECT_TRUE(CheckClasses(*table, 4).ok());
    EXPECT_EQ(CheckClasses(*table, 3).message(),
              "d.csv:3: column 2: label 3 is out of range, expected 0 to 2: "
              "the model has 3 outputs");
    EXPECT_FALSE(ParseCsv("1,-1\n", "d.csv", options).ok());
  }
}

TEST(FingerprintTest, ChangesWithAnyValue) {
  const uint64_t original = Fingerprint(*ParseCsv("1,2,0\n", "d", {}));
  EXPECT_EQ(Fingerprint(*ParseCsv("1.0, 2 ,0\r\n", "e", {})), original);
  EXPECT_NE(Fingerprint(*ParseCsv("1,3,0\n", "d", {})), original);
  EXPECT_NE(Fingerprint(*ParseCsv("1,2,1\n", "d", {})), original);
  EXPECT_NE(Fingerprint(*ParseCsv("2,1,0\n", "d", {})), original);
}

TEST(ReadCsvTest, MissingFile) {
  const auto table = ReadCsv("/nowhere/d.csv", {});
  EXPECT_EQ(table.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(table.status().message(),
            "cannot read /nowhere/d.csv: No such file or directory");
}

}  // namespace
}  // namespace modelbatch
