using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace OciRegistry.Tests.Charts;

/// <summary>YAML as the JSON that Kubernetes and Helm take it for.</summary>
internal static partial class Yaml
{
    /// <summary>What a text has, by the lines <c>---</c>; the empty ones are left out.</summary>
    public static IEnumerable<JsonNode> Documents(string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        return [.. stream.Documents.Select(document => Node(document.RootNode)).OfType<JsonNode>()];
    }

    /// <summary>The one document of a text; an empty object when it has comments only.</summary>
    public static JsonObject Document(string text) => Documents(text).SingleOrDefault()?.AsObject() ?? [];

    private static JsonNode? Node(YamlNode node) => node switch
    {
        YamlMappingNode mapping => new JsonObject(mapping.Children.Select(
            pair => KeyValuePair.Create(((YamlScalarNode)pair.Key).Value!, Node(pair.Value)))),
        YamlSequenceNode sequence => new JsonArray([.. sequence.Children.Select(Node)]),
        YamlScalarNode { Style: ScalarStyle.Plain } plain => Plain(plain.Value!),
        YamlScalarNode quoted => JsonValue.Create(quoted.Value),
        _ => throw new InvalidDataException($"{node} is no YAML that Helm writes."),
    };

    private static JsonNode? Plain(string text) => text switch
    {
        "" or "~" or "null" => null,
        "true" => true,
        "false" => false,
        _ when Octal().IsMatch(text) => JsonNode.Parse($"{Convert.ToInt64(text, 8)}"),
        _ when Number().IsMatch(text) => JsonNode.Parse(text),
        _ => text,
    };

    [GeneratedRegex("^0[0-7]+$")]
    private static partial Regex Octal();

    [GeneratedRegex(@"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$")]
    private static partial Regex Number();
}
