using System.Globalization;
using Microsoft.Extensions.Configuration;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>
/// What is committed for readers and editors is what the options classes say. With <c>OCI_REGISTRY_TESTS_WRITE=settings</c> it is
/// written instead of compared.
/// </summary>
public sealed class SettingsReferenceTests
{
    private const string Switch = "OCI_REGISTRY_TESTS_WRITE";
    private const string MayChange = "May change while the registry runs";

    // What a setting needs beside it to be right by itself.
    private static readonly Dictionary<string, (string Name, string Value)[]> Companions = new()
    {
        ["OciRegistry:Uploads:AbsoluteExpiry"] = [("OciRegistry:Uploads:IdleExpiry", "00:00:00.0000001")],
        ["OciRegistry:Auth:Tokens:RefreshLifetime"] = [("OciRegistry:Auth:Tokens:Lifetime", "00:00:01")],
        ["OciRegistry:Redis:Lease"] = [("OciRegistry:Redis:Timeout", "00:00:00.01")],
    };

    public static TheoryData<string> Limited =>
        [.. Setting.Root.Leaves().Where(leaf => leaf.Is.Min is not null || leaf.Is.Max is not null).Select(leaf => leaf.Path)];

    public static TheoryData<string> Listed => [.. Setting.Root.Leaves().Where(leaf => leaf.Is.Values is not null).Select(leaf => leaf.Path)];

    [Fact]
    public void The_reference_is_current() => ShouldBeCurrent("SETTINGS.md", SettingsReference.Write());

    [Fact]
    public void The_schema_is_current() => ShouldBeCurrent("appsettings.schema.json", SettingsSchema.Write());

    [Fact]
    public void Every_setting_says_what_it_does()
    {
        foreach (var leaf in Setting.Root.Leaves())
        {
            leaf.Description().ShouldNotBeEmpty(leaf.Path);
            leaf.Description().ShouldEndWith(".", Case.Sensitive, leaf.Path);
        }
    }

    /// <summary>Whoever embeds the registry reads the comment, and the program the attribute.</summary>
    [Fact]
    public void What_may_change_says_so()
    {
        foreach (var setting in All(Setting.Root).Where(setting => setting.Option is not null))
        {
            (XmlDocs.Summary(setting.Option!) ?? "").Contains(MayChange, StringComparison.Ordinal).ShouldBe(setting.Is.MayChange, setting.Path);
        }
    }

    [Theory]
    [MemberData(nameof(Limited))]
    public void Limits_are_those_of_the_check(string path)
    {
        var setting = Setting.Root.Leaves().Single(leaf => leaf.Path == path);
        foreach (var (limit, step) in new[] { (setting.Is.Min, -1), (setting.Is.Max, 1) })
        {
            if (limit is not null)
            {
                Problems(setting, limit).ShouldBeEmpty();
                Problems(setting, Next(setting, limit, step)).ShouldNotBeEmpty($"{path} is {step} beyond {limit}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Listed))]
    public void Texts_that_are_listed_are_those_of_the_check(string path)
    {
        var setting = Setting.Root.Leaves().Single(leaf => leaf.Path == path);
        foreach (var value in setting.Is.Values!.Split(' '))
        {
            Problems(setting, value).ShouldBeEmpty();
        }

        Problems(setting, "other").ShouldHaveSingleItem()
            .ShouldEndWith($"Use {setting.Is.Values.Replace(" ", ", ", StringComparison.Ordinal)}.");
    }

    private static IReadOnlyList<string> Problems(Setting setting, string value)
    {
        var key = setting.Path.Replace(Setting.Number, "0", StringComparison.Ordinal);
        var values = new Dictionary<string, string?>();
        if (key.StartsWith(Setting.AzureBlobs, StringComparison.Ordinal))
        {
            values[$"{Setting.AzureBlobs}:ConnectionString"] = "UseDevelopmentStorage=true";
        }
        else if (key.StartsWith(Setting.Redis, StringComparison.Ordinal))
        {
            values[$"{Setting.Redis}:Configuration"] = "redis:6379";
        }
        else if (key.StartsWith("OciRegistry:PullThrough:Upstreams:0:", StringComparison.Ordinal))
        {
            values["OciRegistry:PullThrough:Upstreams:0:Prefix"] = "hub";
            values["OciRegistry:PullThrough:Upstreams:0:Url"] = "https://example.com";
        }
        else if (key.StartsWith("OciRegistry:Auth:Policies:0:", StringComparison.Ordinal))
        {
            values["OciRegistry:Auth:Policies:0:Subjects"] = "user:alice";
            values["OciRegistry:Auth:Policies:0:Repositories"] = "**";
        }

        foreach (var (name, companion) in Companions.GetValueOrDefault(setting.Path, []))
        {
            values[name] = companion;
        }

        values[key] = value;
        return SettingsCheck.Problems(new ConfigurationBuilder().AddInMemoryCollection(values).Build());
    }

    private static string Next(Setting setting, string limit, int step) => setting.Type == typeof(TimeSpan)
        ? (TimeSpan.Parse(limit, CultureInfo.InvariantCulture) + TimeSpan.FromTicks(step)).ToString("c", CultureInfo.InvariantCulture)
        : (long.Parse(limit, CultureInfo.InvariantCulture) + step).ToString(CultureInfo.InvariantCulture);

    private static void ShouldBeCurrent(string name, string content)
    {
        var path = Committed.Path(name);
        if (Environment.GetEnvironmentVariable(Switch) == "settings")
        {
            File.WriteAllText(path, content);
        }

        File.ReadAllText(path).ShouldBe(content, $"{name} is not what the options classes say: write it anew with {Switch}=settings.");
    }

    private static IEnumerable<Setting> All(Setting setting) => setting.Children.SelectMany(All).Prepend(setting);
}
