using OciRegistry.IntegrationTests.Charts;
using OciRegistry.IntegrationTests.Support;

[assembly: AssemblyFixture(typeof(ChartDecoder))]

namespace OciRegistry.IntegrationTests.Charts;

/// <summary>The program in <c>Charts/decoder</c>, built once a run with Debian's Go and its types of Kubernetes.</summary>
public sealed class ChartDecoder : IAsyncDisposable
{
    private const string Types = "usr/share/gocode/src/k8s.io/api";

    private readonly TempFolder _folder = new();
    private readonly Lazy<Task<string>> _built;

    public ChartDecoder() => _built = new(BuildAsync);

    /// <summary>Decodes files; skips the running test where they cannot be.</summary>
    internal async Task<ToolResult> DecodeAsync(params string[] files) =>
        await Tool.Require(await _built.Value).TryRunAsync(files);

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    private async Task<string> BuildAsync()
    {
        // The system's, or what tests/run.sh has unpacked where the system's Debian has none.
        var root = new[] { "/", Path.Combine(Checkout.Root, "tests", ".tools", "debian") }
            .FirstOrDefault(root => Directory.Exists(Path.Combine(root, Types)) && GoIn(root) is not null);
        Assert.SkipWhen(root is null, "golang-go and golang-k8s-api-dev are not installed; tests/run.sh installs them.");

        var go = GoIn(root!)!;
        var decoder = _folder["decoder"];
        var result = await Tool.Require(go)
            .WithVariable("GOROOT", Path.GetFullPath(Path.Combine(go, "..", "..")))
            .WithVariable("GOPATH", Path.Combine(root!, "usr/share/gocode"))
            .WithVariable("GO111MODULE", "off")
            .WithVariable("GOTOOLCHAIN", "local")
            .WithVariable("GOFLAGS", "")
            .WithVariable("CGO_ENABLED", "0")
            .With("-C", Path.Combine(Checkout.Root, "tests", "OciRegistry.IntegrationTests", "Charts", "decoder"))
            .TryRunAsync("build", "-o", decoder, ".");
        result.ExitCode.ShouldBe(0, result.ToString());
        return decoder;
    }

    // The newest: a Debian may have several.
    private static string? GoIn(string root) =>
        Directory.EnumerateDirectories(Path.Combine(root, "usr/lib"), "go-1.*")
            .OrderByDescending(folder => Version.Parse(folder[(folder.LastIndexOf('-') + 1)..]))
            .Select(folder => Path.Combine(folder, "bin", "go"))
            .FirstOrDefault(File.Exists);
}
