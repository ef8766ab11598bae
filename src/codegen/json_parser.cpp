// Json from text: built from the events of nlohmann/json, which has no other home in the library.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "codegen/json.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxKeys = 1024;  // of one object: each new key is compared with all before it

/// Reads bytes and counts them, so that the handler below knows how far the parser has come.
class CountingIterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  CountingIterator(const char* at, std::size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::size_t* count_;
};

/// Builds the tree from the parser's events.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view path, std::string_view text)
      : file_(std::make_shared<std::string>(path)), text_(text) {}

  std::size_t read =
      0;  ///< Bytes the parser has taken; it stands right behind the token of the current event.

  bool null() override {
    return value(Json::Kind::null, [](Json&) {});
  }
  bool boolean(bool b) override {
    return value(Json::Kind::boolean, [&](Json& json) { json.boolean = b; });
  }
  bool number_integer(number_integer_t i) override {
    return value(Json::Kind::integer, [&](Json& json) { json.integer = i; });
  }
  bool number_unsigned(number_unsigned_t u) override {
    return value(Json::Kind::integer, [&](Json& json) {
      if (u > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
        json.fail(fmt::format("an integer must fit in 64 bits, but this is {}", u));
      }
      json.integer = static_cast<std::int64_t>(u);
    });
  }
  bool number_float(number_float_t d, const string_t&) override {
    return value(Json::Kind::real, [&](Json& json) { json.real = d; });
  }
  bool string(string_t& s) override {
    return value(Json::Kind::string, [&](Json& json) { json.string = std::move(s); });
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::Kind::object); }
  bool start_array(std::size_t) override { return open(Json::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    pending_ = Json();
    place_token(pending_);
    pending_.key_line = pending_.line;
    pending_.key_column = pending_.column;
    pending_.key = std::move(name);
    if (open_.back()->items.size() == kMaxKeys) {
      pending_.fail_key(fmt::format("an object may have at most {} keys", kMaxKeys));
    }
    if (open_.back()->find(pending_.key) != nullptr) {
      pending_.fail_key(fmt::format("the key \"{}\" is given twice", pending_.key));
    }
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what is wrong"
    std::string_view message = error.what();
    message.remove_prefix(std::min(message.size(), message.find("] ") + 2));
    if (message.starts_with("parse error"))
      message.remove_prefix(std::min(message.size(), message.find(": ") + 2));
    Json here;
    read_to(byte == 0 ? 0 : byte - 1, here);
    here.fail(fmt::format("bad JSON: {}", message.substr(0, 200)));
  }

  Json take() { return std::move(root_); }

 private:
  template <class Fill>
  bool value(Json::Kind kind, const Fill& fill) {
    Json json = std::move(pending_);
    pending_ = Json();
    json.kind = kind;
    place_token(json);
    fill(json);
    if (open_.empty()) {
      root_ = std::move(json);
      last_ = &root_;
    } else {
      open_.back()->items.push_back(std::move(json));
      last_ = &open_.back()->items.back();
    }
    return true;
  }

  bool open(Json::Kind kind) {
    value(kind, [](Json&) {});
    if (open_.size() == kMaxDepth) last_->fail(fmt::format("JSON may be nested at most {} deep", kMaxDepth));
    open_.push_back(last_);  // stays valid: the parent's list grows only after this value is closed
    return true;
  }

  bool close() {
    open_.pop_back();
    token_end_ = read;
    return true;
  }

  /// The current token starts at the first byte behind the last one that is neither space nor separator.
  void place_token(Json& json) {
    const std::size_t start = text_.find_first_not_of(" \t\r\n,:", token_end_);
    read_to(start == std::string_view::npos ? text_.size() : start, json);
    token_end_ = read;
  }

  void read_to(std::size_t offset, Json& json) {
    for (; offset_ < offset && offset_ < text_.size(); ++offset_) {
      column_ = text_[offset_] == '\n' ? 1 : column_ + 1;
      line_ += text_[offset_] == '\n';
    }
    json.line = line_;
    json.column = column_;
    json.file = file_;
  }

  std::shared_ptr<const std::string> file_;
  std::string_view text_;
  std::size_t offset_ = 0, token_end_ = 0;
  int line_ = 1, column_ = 1;
  Json root_, pending_;
  Json* last_ = nullptr;
  std::vector<Json*> open_;
};

}  // namespace

Json parse_json(std::string_view path, std::string_view text) {
  Builder builder(path, text);
  const CountingIterator begin(text.data(), &builder.read), end(text.data() + text.size(), &builder.read);
  nlohmann::json::sax_parse(begin, end, &builder);
  return builder.take();
}

}  // namespace sprue::codegen
