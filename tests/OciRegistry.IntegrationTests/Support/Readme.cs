using System.Text.RegularExpressions;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>What the README tells people to write into their files.</summary>
internal static class Readme
{
    /// <summary>The first block after the file's name, with what is another thing in a test.</summary>
    /// <param name="name">As it stands there.</param>
    /// <param name="changes">What must be in it, and what to write instead.</param>
    public static async Task<string> FileAsync(string name, params (string Was, string Is)[] changes)
    {
        var readme = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "README.md"));
        var block = Regex.Match(readme, $"`{Regex.Escape(name)}`.*?```[a-z]*\n(?<text>.*?)```", RegexOptions.Singleline);
        block.Success.ShouldBeTrue($"the README shows no {name}");
        var text = block.Groups["text"].Value;
        foreach (var (was, @is) in changes)
        {
            text.ShouldContain(was);
            text = text.Replace(was, @is, StringComparison.Ordinal);
        }

        return text;
    }
}
