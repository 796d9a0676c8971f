using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace OciRegistry.Tests.Charts;

/// <summary>What is kept of Helm's work is what Helm would make of the chart now.</summary>
public sealed partial class GoldenTests
{
    private const string Remedy = "charts/render.sh renders it again; review what has changed, and commit it with the chart.";

    [Fact]
    public void What_was_rendered_is_that_of_the_chart_as_it_is()
    {
        var recorded = Sum().Matches(RegistryChart.Read("ci", "golden", "SHA256SUMS"))
            .ToDictionary(line => line.Groups["file"].Value, line => line.Groups["hash"].Value);
        var now = Directory.EnumerateFiles(RegistryChart.Folder, "*", SearchOption.AllDirectories)
            .Where(path => Path.GetFileName(path) is not ("README.md" or "SHA256SUMS")) // as charts/render.sh has it
            .ToDictionary(path => Path.GetRelativePath(RegistryChart.Folder, path), HashOf);

        recorded.Count.ShouldBeGreaterThan(60);
        now.Keys.Union(recorded.Keys)
            .Where(file => now.GetValueOrDefault(file) != recorded.GetValueOrDefault(file))
            .Select(file => $"{file} is not what the chart was rendered from, or into. {Remedy}")
            .ShouldBeEmpty();
    }

    [Fact]
    public void Every_file_of_values_is_rendered()
    {
        string[] expected =
        [
            .. RegistryChart.Cases.SelectMany(one => (string[])[$"{one.Data}.yaml", $"{one.Data}-notes.txt"]),
            .. RegistryChart.IllegalCases.Select(one => Path.Combine("illegal", $"{one.Data}.txt")),
            "SHA256SUMS",
        ];

        RegistryChart.Cases.Count.ShouldBeGreaterThanOrEqualTo(8);
        Directory.EnumerateFiles(RegistryChart.GoldenFolder, "*", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(RegistryChart.GoldenFolder, path))
            .ShouldBe(expected, ignoreOrder: true, Remedy);
    }

    [Fact]
    public void Changes_that_the_registry_reads_by_itself_restart_no_pods()
    {
        var (before, after) = (RegistryChart.Rendered("filesystem-ingress"), RegistryChart.Rendered("filesystem-ingress-changed"));

        after.Find("ConfigMap", "example-registry")!.ToJsonString().ShouldNotBe(before.Find("ConfigMap", "example-registry")!.ToJsonString());
        after.Find("ConfigMap", "example-registry-policies")!.ToJsonString()
            .ShouldNotBe(before.Find("ConfigMap", "example-registry-policies")!.ToJsonString());
        after.Find("Secret", "example-registry-users")!.ToJsonString()
            .ShouldNotBe(before.Find("Secret", "example-registry-users")!.ToJsonString());
        after.Workload.ToJsonString().ShouldBe(before.Workload.ToJsonString());
    }

    [Fact]
    public void Changes_that_are_read_at_the_start_restart_them() =>
        RegistryChart.Cases.Select(one => one.Data)
            .Where(name => name != "filesystem-ingress-changed")
            .Select(name => Release.Annotations(RegistryChart.Rendered(name).Workload["spec"]!["template"]!)["checksum/config"])
            .ShouldBeUnique();

    private static string HashOf(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    [GeneratedRegex(@"^(?<hash>[0-9a-f]{64})  \./(?<file>.+)$", RegexOptions.Multiline)]
    private static partial Regex Sum();
}
