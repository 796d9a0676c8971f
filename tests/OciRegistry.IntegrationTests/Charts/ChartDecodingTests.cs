using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Charts;

/// <summary>What Helm has rendered is what Kubernetes takes: decoded into its own types, strictly.</summary>
public sealed class ChartDecodingTests(ChartDecoder decoder) : IAsyncDisposable
{
    private static readonly string[] Goldens =
        [.. Directory.EnumerateFiles(Path.Combine(Checkout.Root, "charts", "registry", "ci", "golden"), "*.yaml").Order(StringComparer.Ordinal)];

    private readonly TempFolder _folder = new();

    [Fact]
    public async Task Every_object_of_every_case_is_one_of_Kubernetes()
    {
        Goldens.Length.ShouldBeGreaterThanOrEqualTo(8);

        var result = await decoder.DecodeAsync(Goldens);

        result.ExitCode.ShouldBe(0, result.ToString());
        foreach (var golden in Goldens)
        {
            var documents = (await File.ReadAllLinesAsync(golden)).Count(line => line == "---");
            result.Output.ShouldContain($"{golden}: {documents} objects");
        }
    }

    [Theory]
    [InlineData("replicas: 1", "replica: 1", "unknown field \"spec.replica\"")]
    [InlineData("replicas: 1", "Replicas: 1", "unknown field \"spec.Replicas\"")]
    [InlineData("replicas: 1", "replicas: 1\n  replicas: 2", "already set in map")]
    [InlineData("replicas: 1", "replicas: \"1\"", "cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32")]
    [InlineData("path: /livez", "path: 1", "cannot unmarshal number")]
    [InlineData("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", "unknown field \"spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem\"")]
    [InlineData("cpu: 100m", "cpu: 100 m", "quantities must match the regular expression")]
    [InlineData("app.kubernetes.io/component: registry", "app.kubernetes.io/component: no label", "a valid label must be")]
    [InlineData("apiVersion: apps/v1", "apiVersion: apps/v1beta1", "is no kind that is known here")]
    [InlineData("name: example-registry-headless", "name: 1-registry", "name of a Service")]
    public async Task What_Kubernetes_would_refuse_is_found(string was, string @is, string problem) =>
        await ShouldBeRefusedAsync("minimal", was, @is, problem);

    [Theory]
    [InlineData("azure-workload-identity", "hostnames:", "hosts:", "unknown field \"spec.hosts\"")]
    [InlineData("azure-workload-identity", "request: 0s", "request: 0", "cannot unmarshal number")]
    [InlineData("monitoring", "scrapeTimeout: 10s", "scrape_timeout: 10s", "unknown field \"spec.endpoints[0].scrape_timeout\"")]
    [InlineData("monitoring", "record: cluster:up:sum", "recording: cluster:up:sum", "unknown field \"spec.groups[")]
    public async Task What_their_operators_would_refuse_of_other_kinds_is_found(string name, string was, string @is, string problem) =>
        await ShouldBeRefusedAsync(name, was, @is, problem);

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    private async Task ShouldBeRefusedAsync(string name, string was, string @is, string problem)
    {
        var golden = await File.ReadAllTextAsync(Goldens.Single(path => Path.GetFileName(path) == $"{name}.yaml"));
        golden.ShouldContain(was);
        var broken = _folder["broken.yaml"];
        await File.WriteAllTextAsync(broken, golden.Replace(was, @is, StringComparison.Ordinal));

        var result = await decoder.DecodeAsync(broken);

        result.ExitCode.ShouldBe(1, result.ToString());
        result.Error.ShouldContain(problem);
    }
}
