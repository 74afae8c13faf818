#include "tools/report/html.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/train/file_write.h"
#include "tools/train/plan_text.h"

namespace ab::report {

namespace {
const char* const kDash = "–";
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Control characters have no place in HTML.
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  return out;
}

std::string script_json(const Json& value) {
  std::string out;
  for (const char c : json_text(value))
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  return out;
}

std::string number(double value) {
  return std::isfinite(value) ? text_of("%.4g", value) : kDash;
}

std::string percent(double share, int digits) {
  return std::isfinite(share) ? text_of("%.*f %%", digits, 100.0 * share) : kDash;
}

std::string ratio(double value) {
  return std::isfinite(value) ? text_of("%.2f : 1", value) : kDash;
}

std::string count(double value) {
  return std::isfinite(value) ? text_of("%.0f", value) : kDash;
}

std::string milliseconds(double seconds) {
  return std::isfinite(seconds) ? text_of("%.2f", 1e3 * seconds) : kDash;
}

std::string bytes(double count) {
  return std::isfinite(count) ? bytes_text(count) : kDash;
}

void Table::row(const std::vector<std::string>& cells, const std::string& css) {
  body_ += css.empty() ? "<tr>" : "<tr class=\"" + css + "\">";
  for (size_t i = 0; i < cells.size(); ++i)
    body_ += columns_[i].align == 'l' ? "<td class=\"l\">" + cells[i] + "</td>"
                                      : "<td>" + cells[i] + "</td>";
  body_ += "</tr>\n";
}

void Table::group(const std::string& title) {
  body_ += "<tr class=\"group\"><th colspan=\"" + std::to_string(columns_.size()) + "\">" + title +
           "</th></tr>\n";
}

std::string Table::html(const std::string& id) const {
  std::string text = "<div class=\"scroll\"><table id=\"" + id + "\">\n<thead><tr>";
  for (const Column& column : columns_)
    text += (column.align == 'l' ? "<th class=\"l\">" : "<th>") + column.title + "</th>";
  return text + "</tr></thead>\n<tbody>\n" + body_ + "</tbody></table></div>\n";
}

}  // namespace ab::report
