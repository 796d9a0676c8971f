using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Configuration;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.PullThrough;

/// <summary>The settings that the README shows: nothing is asked of those registries.</summary>
public sealed partial class ReadmeSettingsTests
{
    private static readonly string[] Names = ["docker.io", "ghcr.io", "quay.io"];

    [Fact]
    public async Task The_file_names_three_upstreams()
    {
        using var file = new MemoryStream(Encoding.UTF8.GetBytes(await Readme.FileAsync("appsettings.json")));
        ShouldNameThem(new ConfigurationBuilder().AddJsonStream(file).Build());
    }

    [Fact]
    public async Task The_variables_name_the_same()
    {
        var readme = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "README.md"));
        ShouldNameThem(new ConfigurationBuilder()
            .AddInMemoryCollection(Variable().Matches(readme).Select(match => KeyValuePair.Create(
                match.Groups["name"].Value.Replace("__", ":", StringComparison.Ordinal), (string?)match.Groups["value"].Value)))
            .Build());
    }

    private static void ShouldNameThem(IConfiguration configuration)
    {
        var pullThrough = configuration.GetRequiredSection("OciRegistry").Get<OciRegistryOptions>().ShouldNotBeNull().PullThrough;
        pullThrough.Problems().ShouldBeEmpty();
        pullThrough.Upstreams.Select(upstream => upstream.Prefix).ShouldBe(Names);

        // What containerd calls them, as its folders are named.
        pullThrough.Upstreams.Select(upstream => upstream.AllNamespaces()[0]).ShouldBe(Names);
    }

    [GeneratedRegex("(?<name>OciRegistry__PullThrough__\\w+)=(?<value>\\S+)")]
    private static partial Regex Variable();
}
