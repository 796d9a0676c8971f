using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace OciRegistry.Tests.Architecture;

/// <summary>The table in tests/README.md that says which test holds which promise, held against the tests.</summary>
public sealed partial class GuaranteeTableTests
{
    [Fact]
    public void Every_test_in_the_table_of_promises_is_there()
    {
        var tests = Path.GetFullPath(Path.Combine(SourceFolder(), "..", ".."));
        var named = NamedTest().Matches(File.ReadAllText(Path.Combine(tests, "README.md")));
        var sources = Directory.EnumerateFiles(tests, "*.cs", SearchOption.AllDirectories)
            .ToLookup(file => Path.GetFileNameWithoutExtension(file), File.ReadAllText);

        named.Count.ShouldBeGreaterThan(25);
        named.Where(name => !sources[name.Groups["class"].Value].Any(
                source => source.Contains($" {name.Groups["test"].Value}(", StringComparison.Ordinal)))
            .Select(name => name.Value)
            .ShouldBeEmpty();
    }

    [GeneratedRegex(@"(?<class>[A-Z]\w+)\.(?<test>[A-Z][a-z]*_\w+)")]
    private static partial Regex NamedTest();

    private static string SourceFolder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
