#include "modelbatch/train/event.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Event Copy() {
  Event event;
  event.kind = EventKind::kReplace;
  event.step = 8;
  event.epoch = 2;
  event.epoch_end = true;
  event.model = 5;
  event.reason = "a \"bad\" score,\nthe worst";
  event.seed = std::numeric_limits<uint64_t>::max();
  event.source = 1;
  event.copy = 9;
  event.changes = {{"clip_norm", std::numeric_limits<double>::infinity()},
                   {"lr", 0.1}};
  event.fingerprint = 0x0123456789abcdef;
  return event;
}

TEST(EventTest, ReadsBackAsItWasWritten) {
  Event stop;
  stop.kind = EventKind::kEarlyStop;
  stop.built_in = true;
  const auto events = EventsFromJson(EventsToJson({Copy(), stop}));
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ(EventDifference((*events)[0], Copy()), "");
  EXPECT_EQ((*events)[0].seed, Copy().seed);
  EXPECT_EQ((*events)[0].changes, Copy().changes);
  EXPECT_EQ((*events)[0].reason, Copy().reason);
  EXPECT_EQ((*events)[0].fingerprint, Copy().fingerprint);
  EXPECT_EQ((*events)[0].epochs_finished(), 2);
  EXPECT_EQ((*events)[1].kind, EventKind::kEarlyStop);
  EXPECT_TRUE((*events)[1].built_in);
  EXPECT_EQ((*events)[1].epochs_finished(), 0);
}

TEST(EventTest, OneLineOfJson) {
  EXPECT_EQ(
      EventToJson(Copy()),
      R"({"step":8,"epoch":2,"epoch_end":true,"model":5,"event":"replace",)"
      R"("reason":"a \"bad\" score,\nthe worst","by":"program","source":1,)"
      R"("copy":9,"changes":{"clip_norm":"inf","lr":0.1},)"
      R"("seed":18446744073709551615,"fingerprint":"0123456789abcdef"})");
}

TEST(EventTest, NamesTheFieldThatDiffers) {
  Event other = Copy();
  other.changes["lr"] = 0.2;
  EXPECT_EQ(EventDifference(Copy(), other),
            "changes is {\"clip_norm\":\"inf\",\"lr\":0.1} in the run, "
            "{\"clip_norm\":\"inf\",\"lr\":0.2} alone");
  other = Copy();
  other.epoch_end = false;
  EXPECT_EQ(EventDifference(Copy(), other),
            "epoch_end is true in the run, missing alone");
  EXPECT_EQ(EventDifference(other, Copy()),
            "epoch_end is missing in the run, true alone");
}

TEST(EventTest, Describes) {
  EXPECT_THAT(DescribeEvent(Copy()),
              HasSubstr("replacement of model 5 by model 9, a copy of model 1, "
                        "at step 8: a \"bad\""));
  Event reset;
  reset.kind = EventKind::kReset;
  EXPECT_EQ(DescribeEvent(reset), "reset of model 0 at step 0");
  EXPECT_EQ(CountEvents({reset, Copy(), reset}), "2 resets, 1 replacement");
  EXPECT_EQ(CountEvents({}), "");
}

TEST(EventTest, BadJsonIsAnErrorThatNamesTheField) {
  const std::string good = EventsToJson({Copy()});
  const auto message = [](const std::string& json) {
    const auto events = EventsFromJson(json);
    EXPECT_EQ(events.status().code(), absl::StatusCode::kInvalidArgument)
        << json;
    return std::string(events.status().message());
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string json = good;
    const size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return message(json.replace(at, from.size(), to));
  };
  EXPECT_EQ(message("{}"), "expected a JSON array of events");
  EXPECT_EQ(message("[3]"), "event 1: expected an object");
  EXPECT_EQ(with("\"step\":8,", ""), "event 1: \"step\" is missing");
  EXPECT_EQ(with("\"step\":8", "\"step\":-1"),
            "event 1: \"step\" is -1, expected an integer of at least 0");
  EXPECT_EQ(with("\"step\":8", "\"step\":8.5"),
            "event 1: \"step\" is 8.5, expected an integer of at least 0");
  EXPECT_EQ(with("\"step\":8", "\"step\":18446744073709551615"),
            "event 1: \"step\" is 18446744073709551615, expected an integer of "
            "at least 0");
  EXPECT_EQ(with("\"epoch\":2", "\"epoch\":0"),
            "event 1: \"epoch\" is 0, expected an integer of at least 1");
  EXPECT_THAT(with("\"replace\"", "\"explode\""),
              HasSubstr("\"event\" is \"explode\", expected one of freeze, "));
  EXPECT_THAT(with("\"program\"", "\"me\""), HasSubstr("\"by\" is \"me\""));
  EXPECT_THAT(with("\"inf\"", "\"much\""),
              HasSubstr("\"changes\" has clip_norm = \"much\""));
  EXPECT_THAT(with("18446744073709551615", "-3"),
              HasSubstr("\"seed\" is -3, expected"));
  EXPECT_THAT(with("0123456789abcdef", "xyz"),
              HasSubstr("expected 16 hexadecimal digits"));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(EventsFromJson(good.substr(0, size)).ok());
  }
}

TEST(EventTest, IdsBeforeUndoesCopies) {
  Event first = Copy();  // 5 by 9
  Event second = Copy();
  second.model = 9;
  second.copy = 12;
  const auto ids = IdsBefore({first, second}, {0, 12, 2});
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(*ids, ElementsAre(0, 5, 2));
  EXPECT_THAT(std::string(IdsBefore({first}, {0, 12}).status().message()),
              HasSubstr("there is no model 9"));
}

}  // namespace
}  // namespace modelbatch
