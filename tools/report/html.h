// Text of a page: escaping, numbers a person can read, tables. Everything that comes from a file
// passes through escape() or script_json() on its way into the page.
#pragma once
#include <string>
#include <vector>

#include "tools/train/config.h"
#include "tools/train/plan_format.h"

namespace ab::report {

std::string escape(const std::string& text);  // & < > " '
// JSON inside a <script> element: "<" is written \u003c, so that no text can close the element.
std::string script_json(const Json& value);

// Four digits: "0.9375", "1.2e-05"; a dash where the value is not finite.
std::string number(double value);
// "93.70 %" of a share of 1, "1.77 : 1", "12.5 ms" of seconds, "1.31 GB"; a dash where not finite.
std::string percent(double share, int digits = 1);
std::string ratio(double value);
std::string count(double value);  // without decimals
std::string milliseconds(double seconds);
std::string bytes(double count);

// A table whose columns are text ("l") or numbers ("r", aligned to the right). Cells are HTML.
class Table {
 public:
  struct Column {
    std::string title;
    char align = 'r';
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void row(const std::vector<std::string>& cells, const std::string& css = "");
  void group(const std::string& title);  // a line over all columns
  std::string html(const std::string& id) const;

 private:
  std::vector<Column> columns_;
  std::string body_;
};

}  // namespace ab::report
