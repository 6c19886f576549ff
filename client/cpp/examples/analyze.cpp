// Tells the sentiment of texts: analyze [--address HOST:PORT] [TEXT...]
//
// With texts, in one call; without, of the lines of the standard input, each as soon as its answer is there.

#include <sentinova/client.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

void print(const std::string& text, const sentinova::Outcome& outcome) {
  if (outcome) {
    std::cout << outcome->label << '\t' << outcome->score << '\t' << text << std::endl;
  } else {
    std::cout << outcome.error().reason() << '\t' << outcome.error().message() << '\t' << text << std::endl;
  }
}

void analyze_texts(const sentinova::Client& client, const std::vector<std::string>& texts) {
  const std::vector<sentinova::Outcome> outcomes = client.analyze_batch(texts);
  for (std::size_t index = 0; index < texts.size(); ++index) print(texts[index], outcomes[index]);
}

void analyze_lines(const sentinova::Client& client, std::istream& input) {
  const auto lines = [&input]() -> std::optional<sentinova::Document> {
    std::string line;
    if (!std::getline(input, line)) return std::nullopt;
    return sentinova::Document{line, line};
  };
  for (const sentinova::Answer& answer : client.stream(lines)) print(answer.id, answer.outcome);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> texts{argv + 1, argv + argc};
  sentinova::ClientOptions options;
  if (texts.size() >= 2 && texts[0] == "--address") {
    options.address = texts[1];
    texts.erase(texts.begin(), texts.begin() + 2);
  }
  try {
    const sentinova::Client client{options};
    if (texts.empty()) {
      analyze_lines(client, std::cin);
    } else {
      analyze_texts(client, texts);
    }
  } catch (const std::exception& error) {
    std::cerr << "analyze: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
