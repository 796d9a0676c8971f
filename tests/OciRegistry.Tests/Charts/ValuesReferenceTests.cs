using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using OciRegistry.Server;

namespace OciRegistry.Tests.Charts;

/// <summary>values.yaml says of each value what it is, and the README and the schema say the same.</summary>
public sealed partial class ValuesReferenceTests
{
    private static readonly JsonSerializerOptions Plainly = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonObject Values = RegistryChart.Values;
    private static readonly Dictionary<string, string> Comments = ReadComments();

    [Fact]
    public void Every_value_has_one_comment_its_own_or_that_of_the_group_that_it_is_in()
    {
        var leaves = Leaves("", Values).ToList();

        leaves.Count.ShouldBeGreaterThan(150);
        leaves.Where(leaf => Comments.Keys.Count(path => leaf == path || leaf.StartsWith($"{path}.", StringComparison.Ordinal)) != 1)
            .ShouldBeEmpty();
    }

    [Fact]
    public void The_table_of_the_README_has_a_row_for_each_with_its_default()
    {
        var rows = Row().Matches(RegistryChart.Read("README.md")).Select(row => row.Value);

        rows.ShouldBe(Comments.Select(comment =>
            $"| `{comment.Key}` | `{Cell(JsonSerializer.Serialize(At(comment.Key), Plainly))}` | {Cell(comment.Value)} |"));
    }

    [Fact]
    public void The_schema_describes_each_in_the_same_words()
    {
        var schema = JsonNode.Parse(RegistryChart.Read("values.schema.json"))!;
        foreach (var (path, comment) in Comments)
        {
            var described = path.Split('.').Aggregate(schema, (group, name) => group["properties"]![name]!);
            ((string?)described["description"]).ShouldBe(comment, path);
        }
    }

    [Fact]
    public void The_image_is_of_the_version_that_the_server_has() =>
        $"OciRegistry {Yaml.Document(RegistryChart.Read("Chart.yaml"))["appVersion"]}".ShouldBe(CommandLine.Version);

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    private static JsonNode? At(string path) => path.Split('.').Aggregate((JsonNode?)Values, (group, name) => group![name]);

    private static IEnumerable<string> Leaves(string prefix, JsonObject values) => values.SelectMany(
        pair => pair.Value is JsonObject { Count: > 0 } group ? Leaves($"{prefix}{pair.Key}.", group) : [prefix + pair.Key]);

    // By path, in the order of the file: the lines of comment right above a name.
    private static Dictionary<string, string> ReadComments()
    {
        var comments = new Dictionary<string, string>();
        var path = new List<(int Indent, string Name)>();
        var above = new List<string>();
        foreach (var line in RegistryChart.Read("values.yaml").Split('\n'))
        {
            if (Comment().Match(line) is { Success: true } comment)
            {
                above.Add(comment.Groups["text"].Value);
                continue;
            }

            if (Name().Match(line) is { Success: true } name)
            {
                path.RemoveAll(outer => outer.Indent >= name.Groups["indent"].Length);
                path.Add((name.Groups["indent"].Length, name.Groups["name"].Value));
                if (above.Count > 0)
                {
                    comments.Add(string.Join('.', path.Select(outer => outer.Name)), string.Join(' ', above));
                }
            }

            above.Clear();
        }

        return comments;
    }

    [GeneratedRegex("^ *# (?<text>.*)$")]
    private static partial Regex Comment();

    [GeneratedRegex("^(?<indent> *)(?<name>[A-Za-z_]+):")]
    private static partial Regex Name();

    [GeneratedRegex(@"^\| `[A-Za-z_.]+` \| `.*$", RegexOptions.Multiline)]
    private static partial Regex Row();
}
