#include "modelbatch/plot/svg.h"

#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "modelbatch/io/utf8.h"

namespace modelbatch {
namespace {

constexpr size_t kEnd = std::string::npos;

std::string TooltipElement(const Series& series, size_t i) {
  return i < series.tooltips.size()
             ? absl::StrCat("<title>", EscapeXml(series.tooltips[i]),
                            "</title>")
             : "";
}

std::string ModelAttribute(const Series& series, size_t i) {
  return i < series.models.size()
             ? absl::StrCat(" data-model=\"", series.models[i], "\"")
             : "";
}

bool HasPoints(const Series& series) {
  return series.kind == Series::Kind::kPoints ||
         series.kind == Series::Kind::kCrosses;
}

// The points of a series are <use .../> elements in their order, and at last
// that of the key.
std::string AddToPoints(const Series& series, const std::string& group) {
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const size_t use = group.find("<use ", at);
    const size_t close = use == kEnd ? kEnd : group.find("/>", use);
    if (close == kEnd) break;
    out.append(group, at, close - at);
    absl::StrAppend(&out, ModelAttribute(series, i), ">",
                    TooltipElement(series, i), "</use>");
    at = close + 2;
  }
  return out + group.substr(at);
}

// Without elements of this kind.
void Remove(const std::string& begin, const std::string& end,
            std::string* text) {
  for (;;) {
    const size_t at = text->find(begin);
    if (at == kEnd) return;
    const size_t last = text->find(end, at);
    if (last == kEnd) return;
    text->erase(at, last + end.size() - at);
  }
}

// Without what no chart uses: filters, and groups with nothing in them, which
// are half of gnuplot's text.
std::string Clean(std::string svg) {
  Remove("<filter ", "</filter>", &svg);
  const std::string empty =
      "stroke-width=\"1.00\" stroke-linecap=\"butt\" "
      "stroke-linejoin=\"miter\">\n</g>\n";
  for (const char* color : {"black", "white"}) {
    svg = absl::StrReplaceAll(
        svg, {{absl::StrCat("<g fill=\"none\" color=\"", color,
                            "\" stroke=\"currentColor\" ", empty),
               ""}});
  }
  return svg;
}

}  // namespace

std::string EscapeXml(const std::string& text) {
  const bool utf8 = IsValidUtf8(text);
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (byte >= 0x20 ? byte != 0x7f && (byte < 0x80 || utf8)
                            : c == '\n' || c == '\t') {
      out.push_back(c);
    } else {
      out += "\uFFFD";
    }
  }
  return out;
}

std::string AddTooltips(const Chart& chart, const std::string& id,
                        const std::string& drawing) {
  const std::string svg = Clean(drawing);
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    const std::string name = absl::StrCat(id, "_plot_", i + 1);
    const std::string begin =
        absl::StrCat("<g id=\"", name, "\" ><title>", name, "</title>");
    const size_t group = svg.find(begin, at);
    if (group == kEnd) break;
    const size_t content = group + begin.size();
    // The next series' group, or the axes after the last one.
    const size_t end =
        svg.find(absl::StrCat("<g id=\"", id, "_plot_"), content);
    const std::string inside = svg.substr(content, end - content);
    out.append(svg, at, group - at);
    if (HasPoints(series)) {
      absl::StrAppend(&out, "<g id=\"", name, "\">",
                      AddToPoints(series, inside));
    } else {
      absl::StrAppend(&out, "<g id=\"", name, "\"", ModelAttribute(series, 0),
                      ">", TooltipElement(series, 0), inside);
    }
    at = end;
    if (at == kEnd) return out;
  }
  return out + svg.substr(at);
}

std::string InlineSvg(const Chart& chart, const std::string& id,
                      const std::string& svg) {
  constexpr std::string_view kViewBox = "viewBox=\"";
  constexpr std::string_view kCanvas = "<g id=\"gnuplot_canvas\">";
  const size_t box = svg.find(kViewBox);
  const size_t canvas = svg.find(kCanvas);
  if (box == kEnd || canvas == kEnd) return svg;
  const size_t begin = box + kViewBox.size();
  std::string body = svg.substr(canvas + kCanvas.size());
  body = absl::StrReplaceAll(body, {{"xlink:href", "href"},
                                    {"gpPt", absl::StrCat(id, "_point_")},
                                    {"gpDot", absl::StrCat(id, "_dot")}});
  return absl::StrCat("<svg viewBox=\"",
                      svg.substr(begin, svg.find('"', begin) - begin),
                      "\" role=\"img\" aria-label=\"", EscapeXml(chart.title),
                      "\">\n<g>", body);
}

}  // namespace modelbatch
