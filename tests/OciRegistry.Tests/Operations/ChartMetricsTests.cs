using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

/// <summary>The chart's alerts and dashboard: what they ask Prometheus for must be what the registry gives it.</summary>
public sealed partial class ChartMetricsTests
{
    // Prometheus' own, of each target.
    private const string Up = "up";

    [Fact]
    public async Task Every_metric_of_the_alerts_and_the_dashboard_is_one_that_the_registry_has()
    {
        var there = await NamesAsync();
        string[] queries = [.. AlertQueries(), .. DashboardQueries()];
        queries.Length.ShouldBeGreaterThan(60);

        queries.SelectMany(query => MetricsIn(query).Where(name => !there.Contains(name)).Select(name => $"{name} in {query}"))
            .ShouldBeEmpty();
    }

    [Fact]
    public async Task The_README_names_every_metric_and_none_that_is_not_there()
    {
        var there = (await FamiliesAsync()).Select(family => family.Name).ToHashSet();
        var section = Regex.Match(
            await File.ReadAllTextAsync(Path.Combine(Root(), "src", "OciRegistry", "Operations", "README.md")), "^## Metrics$(.*)",
            RegexOptions.Singleline | RegexOptions.Multiline).Value;
        var rows = MetricRow().Matches(section).Select(row => row.Groups[1].Value).ToArray();

        rows.ShouldBe(there, ignoreOrder: true);
    }

    [Fact]
    public void Every_alert_says_how_bad_it_is_what_it_is_and_what_to_do()
    {
        var alerts = Alerts().Split("- alert: ")[1..];
        alerts.Length.ShouldBeGreaterThan(10);
        foreach (var alert in alerts)
        {
            alert.ShouldMatch(@"^\w+\n");
            alert.ShouldMatch(@"severity: (critical|warning)\n");
            foreach (var annotation in (string[])["summary", "description", "remedy"])
            {
                alert.ShouldMatch($@"\n          {annotation}: \S");
            }
        }

        alerts.Select(alert => alert.Split('\n')[0]).ShouldBeUnique();
    }

    [Fact]
    public void Every_panel_asks_the_source_that_is_chosen_about_what_is_chosen()
    {
        var panels = Panels().ToArray();
        panels.Length.ShouldBeGreaterThan(30);
        foreach (var panel in panels)
        {
            panel["datasource"]!["uid"]!.GetValue<string>().ShouldBe("${datasource}");
            foreach (var target in panel["targets"]!.AsArray())
            {
                var query = target!["expr"]!.GetValue<string>();
                var selectors = Selector().Count(query);
                selectors.ShouldBeGreaterThan(0, query);
                Regex.Count(query, """namespace=~"\$namespace", job=~"\$job", instance=~"\$instance["]""").ShouldBe(selectors, query);
            }
        }
    }

    [Theory]
    [InlineData("up == 0 and on (namespace, job) max_over_time(a_b[6h])", "up a_b")]
    [InlineData("sum by (x) (rate(a_total{status=~\"5.. by (z)\"}[5m])) / b > 0.05", "a_total b")]
    [InlineData("histogram_quantile(0.99, sum by (job, le) (rate(a_bucket{b=\"c\"}[$__rate_interval]))) > 1e9", "a_bucket")]
    [InlineData("a * on (i) group_left (v) b offset 5m or absent(c) unless d", "a b c d")]
    [InlineData("predict_linear(a[6h], 86400) < 0", "a")]
    public void Names_are_found_in_queries(string query, string names) => MetricsIn(query).ShouldBe(names.Split(' '));

    private static async Task<HashSet<string>> NamesAsync() =>
    [
        Up,
        .. (await FamiliesAsync()).SelectMany(family => family.Type == "histogram"
            ? (string[])[$"{family.Name}_bucket", $"{family.Name}_sum", $"{family.Name}_count"]
            : [family.Name]),
    ];

    private static async Task<IReadOnlyList<PrometheusParser.Family>> FamiliesAsync()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.PullThrough.Upstreams.Add(
            new UpstreamOptions { Prefix = "up", Url = "http://127.0.0.1:1" }));
        return PrometheusParser.Parse(await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)));
    }

    private static IEnumerable<string> MetricsIn(string query)
    {
        var rest = Selector().Replace(query, " ");
        rest = Text().Replace(rest, " ");
        rest = Range().Replace(rest, " ");
        rest = Labels().Replace(rest, " ");
        return Name().Matches(rest).Select(match => match.Value).Where(name => !Words.Contains(name));
    }

    private static readonly string[] Words = ["and", "or", "unless", "offset", "bool"];

    private static IEnumerable<string> AlertQueries() => Expression().Matches(Alerts()).Select(match => match.Groups["text"].Value);

    private static IEnumerable<string> DashboardQueries() =>
        Panels().SelectMany(panel => panel["targets"]!.AsArray()).Select(target => target!["expr"]!.GetValue<string>());

    private static IEnumerable<JsonNode> Panels() => JsonNode.Parse(File.ReadAllText(Chart("dashboard.json")))!["panels"]!.AsArray()
        .OfType<JsonNode>().Where(panel => panel["type"]!.GetValue<string>() != "row");

    private static string Alerts() => File.ReadAllText(Chart("alerts.yaml"));

    private static string Chart(string file) => Path.Combine(Root(), "charts", "registry", "files", file);

    private static string Root([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", "..", ".."));

    // On one line, or a block that is further in.
    [GeneratedRegex(@"^ {8}expr: (?:\|\n(?<text>(?: {10}.*\n)+)|(?<text>[^|\n].*)\n)", RegexOptions.Multiline)]
    private static partial Regex Expression();

    [GeneratedRegex("""\{(?:[^{}"]|"[^"]*")*\}""")]
    private static partial Regex Selector();

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Text();

    [GeneratedRegex(@"\[[^\]]*\]|\b\d[\w.]*")]
    private static partial Regex Range();

    [GeneratedRegex(@"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")]
    private static partial Regex Labels();

    // Not followed by what makes a function of it.
    [GeneratedRegex(@"\b[a-zA-Z_:][\w:]*\b(?!\s*\()")]
    private static partial Regex Name();

    [GeneratedRegex(@"^\| `(\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex MetricRow();
}
