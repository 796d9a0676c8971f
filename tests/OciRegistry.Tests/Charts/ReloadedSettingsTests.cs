using System.Text.RegularExpressions;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Charts;

/// <summary>What the chart takes for no reason to restart pods is what the server reads again.</summary>
public sealed class ReloadedSettingsTests
{
    [Fact]
    public void The_chart_knows_what_the_server_reads_again()
    {
        var template = Regex.Match(
            RegistryChart.Read("templates", "_settings.tpl"), @"define ""registry\.reloadedSettings"" -\}\}(?<paths>[^{]*)", RegexOptions.Singleline);

        // Policies are in a file of their own. The entries of other lists restart the pods, which does no harm.
        template.Groups["paths"].Value.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).ShouldBe(
            Setting.Root.Leaves()
                .Where(setting => setting.Is.MayChange && !setting.Path.StartsWith("OciRegistry:Auth:Policies", StringComparison.Ordinal))
                .Where(setting => !setting.Path.Contains(":<n>:", StringComparison.Ordinal))
                .Select(setting => setting.Path["OciRegistry:".Length..].ToLowerInvariant()),
            ignoreOrder: true);
    }
}
