using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Json.Schema;

namespace OciRegistry.Tests.Charts;

/// <summary>values.schema.json, which Helm asks before it renders.</summary>
public sealed partial class ValuesSchemaTests
{
    private static readonly JsonSchema Schema = JsonSchema.FromText(RegistryChart.Read("values.schema.json"));

    public static TheoryData<string> Cases => RegistryChart.Cases;

    public static TheoryData<string> RefusedCases =>
        [.. RegistryChart.IllegalCases.Where(one => RefusedBySchema().IsMatch(RegistryChart.Read("ci", "illegal", $"{one.Data}.yaml")))];

    [Fact]
    public void The_defaults_are_right() => Problems(RegistryChart.Values).ShouldBeEmpty();

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_values_of_each_case_are_right(string name) => Problems(RegistryChart.ValuesOf(name)).ShouldBeEmpty();

    [Fact]
    public void So_are_those_of_the_README()
    {
        var examples = YamlBlock().Matches(RegistryChart.Read("README.md"));

        examples.Count.ShouldBeGreaterThan(1);
        examples.SelectMany(example => Problems(Yaml.Document(example.Groups["text"].Value))).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(RefusedCases))]
    public void What_Helm_refuses_by_the_schema_breaks_it_there_too(string name)
    {
        var text = RegistryChart.Read("ci", "illegal", $"{name}.yaml");
        var found = Problems(Yaml.Document(text)).ToList();

        foreach (Match expected in RefusedBySchema().Matches(text))
        {
            found.ShouldContain(place => place.Contains(expected.Groups["place"].Value, StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("replicas: -1")]
    [InlineData("replicas: 1.5")]
    [InlineData("image: {repository: 'https://registry.example.com/x'}")]
    [InlineData("image: {tag: 'sha256:abc'}")]
    [InlineData("storage: {filesystem: {size: 50 GB}}")]
    [InlineData("storage: {filesystem: {accessMode: ReadOnlyMany}}")]
    [InlineData("storage: {azure: {container: Images}}")]
    [InlineData("storage: {azure: {serviceUri: account.blob.core.windows.net}}")]
    [InlineData("redis: {configuration: 'redis:6379'}")]
    [InlineData("redis: {existingSecret: {keys: []}}")]
    [InlineData("auth: {policies: [{subjects: [a], repositories: [x], actions: [write]}]}")]
    [InlineData("auth: {policies: [{subjects: [a], repositories: [x], actions: []}]}")]
    [InlineData("auth: {policies: [{subjects: [a], repositories: [x], actions: [pull], repository: x}]}")]
    [InlineData("auth: {policies: [{subjects: [a], actions: [pull]}]}")]
    [InlineData("auth: {policies: [{subjects: [a], repositories: [], actions: [pull]}]}")]
    [InlineData("auth: {policies: [{repositories: [x], actions: [pull]}]}")]
    [InlineData("auth: {policies: [{subjects: [], groups: [], repositories: [x], actions: [pull]}]}")]
    [InlineData("auth: {issuers: [{name: github}]}")]
    [InlineData("auth: {tokens: {realm: 'https://registry.example.com/token?service=x'}}")]
    [InlineData("pullThrough: {upstreams: [{prefix: docker.io}]}")]
    [InlineData("pullThrough: {upstreams: [{prefix: a, url: 'https://a', settings: {Password: x}}]}")]
    [InlineData("trustedProxies: [ingress.example.com]")]
    [InlineData("drain: {announceSeconds: 10s}")]
    [InlineData("service: {port: 70000}")]
    [InlineData("ingress: {hosts: ['https://registry.example.com']}")]
    [InlineData("ingress: {annotations: {proxy: 0}}")]
    [InlineData("podAnnotations: {checksum/config: x}")]
    [InlineData("podLabels: {app.kubernetes.io/instance: x}")]
    [InlineData("podDisruptionBudget: {maxUnavailable: some}")]
    [InlineData("resources: {cpu: 1}")]
    [InlineData("telemetry: {resourceAttributes: {a: 'b,c=d'}}")]
    [InlineData("extraEnv: [{value: x}]")]
    public void A_value_that_cannot_be_is_refused(string values) => Problems(Yaml.Document(values)).ShouldNotBeEmpty();

    [Fact]
    public void No_group_takes_what_it_does_not_name()
    {
        var groups = Groups(JsonNode.Parse(RegistryChart.Read("values.schema.json"))!).ToList();

        groups.Count.ShouldBeGreaterThan(40);
        groups.Where(group => group["additionalProperties"] is not JsonValue value || (bool)value)
            .Select(group => group.GetPath())
            .ShouldBeEmpty();
    }

    [Fact]
    public void Every_value_is_in_the_schema()
    {
        foreach (var (path, value) in Paths("", RegistryChart.Values))
        {
            var one = new JsonObject();
            var within = one;
            var names = path.Split('.');
            foreach (var name in names[..^1])
            {
                within.Add(name, new JsonObject());
                within = within[name]!.AsObject();
            }

            within.Add(names[^1], new JsonObject { ["no such thing"] = new JsonArray(1) });
            Problems(one).ShouldNotBeEmpty($"{path} ({value?.ToJsonString()}) takes anything");
        }
    }

    // Those that take anything are said to: free maps.
    private static IEnumerable<(string Path, JsonNode? Value)> Paths(string prefix, JsonObject values) =>
        values.SelectMany(pair => pair.Value is JsonObject { Count: > 0 } group && !IsFree(prefix + pair.Key)
            ? Paths($"{prefix}{pair.Key}.", group)
            : IsFree(prefix + pair.Key) ? [] : [(prefix + pair.Key, pair.Value)]);

    private static bool IsFree(string path) => path is "config" or "affinity" or "podSecurityContext" or "securityContext"
        or "autoscaling.behavior" or "serviceMonitor.tlsConfig";

    private static IEnumerable<JsonObject> Groups(JsonNode? node) => node switch
    {
        JsonObject group => group.SelectMany(pair => Groups(pair.Value))
            .Concat(group["properties"] is JsonObject && (string?)group["type"] == "object" ? [group] : []),
        JsonArray list => list.SelectMany(Groups),
        _ => [],
    };

    private static IEnumerable<string> Problems(JsonObject values)
    {
        var result = Schema.Evaluate(
            JsonSerializer.SerializeToElement(values), new EvaluationOptions { OutputFormat = OutputFormat.List });
        return result.IsValid
            ? []
            : result.Details!.Where(detail => detail.Errors is not null)
                .SelectMany(detail => detail.Errors!.Values.Select(error => $"{detail.InstanceLocation}: {error}"));
    }

    [GeneratedRegex("^```yaml\n(?<text>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex YamlBlock();

    [GeneratedRegex("^# Refused by the schema: (?<place>.+)$", RegexOptions.Multiline)]
    private static partial Regex RefusedBySchema();
}
