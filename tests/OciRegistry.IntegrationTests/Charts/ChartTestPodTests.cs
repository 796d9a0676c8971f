using System.Text;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Charts;

/// <summary>The script of <c>helm test</c>, as it was rendered: what it lets pass, and what it does not.</summary>
public sealed class ChartTestPodTests
{
    [Fact]
    public async Task A_registry_in_which_one_has_to_log_in_passes()
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var server = await ServerProcess.StartAsync(accounts.Settings(Login.Tokens));

        var result = await RunAsync("filesystem-ingress", server);

        result.ExitCode.ShouldBe(0, result.ToString());
        result.Output.ShouldContain("\"storage\"", customMessage: "what /readyz says of each component is shown");
        result.Output.ShouldContain("/v2/ answers 401");
    }

    [Fact]
    public async Task An_open_one_that_was_meant_to_be_passes()
    {
        await using var server = await ServerProcess.StartAsync();

        var result = await RunAsync("minimal", server);

        result.ExitCode.ShouldBe(0, result.ToString());
    }

    [Fact]
    public async Task An_open_one_that_was_not_meant_to_be_fails()
    {
        await using var server = await ServerProcess.StartAsync();

        var result = await RunAsync("filesystem-ingress", server);

        result.ExitCode.ShouldBe(1, result.ToString());
        result.Output.ShouldEndWith("/v2/ answers 200, not 401");
    }

    private static async Task<ToolResult> RunAsync(string name, ServerProcess server)
    {
        Tool.Require("curl");
        var golden = await File.ReadAllLinesAsync(Path.Combine(Checkout.Root, "charts", "registry", "ci", "golden", $"{name}.yaml"));
        golden.ShouldContain("      command: [sh, -euc]");
        var script = new StringBuilder();
        foreach (var line in golden.SkipWhile(line => line != "      command: [sh, -euc]").Skip(3).TakeWhile(line => line != "      resources:"))
        {
            script.Append(line).Append('\n');
        }

        script.ToString().ShouldContain("http://example-registry:5000");
        return await Tool.Require("sh").TryRunAsync(
            "-euc", script.ToString().Replace("example-registry:5000", server.Host, StringComparison.Ordinal));
    }
}
