using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>What the documentation comments say, which the compiler has written beside the assemblies.</summary>
internal static partial class XmlDocs
{
    private static readonly ConcurrentDictionary<Assembly, Dictionary<string, XElement>> Files = new();

    private static readonly Dictionary<string, Setting> Settings = All(Setting.Root)
        .Where(setting => setting.Option is not null)
        .ToDictionary(setting => NameOf(setting.Option!));

    /// <summary>The summary of an option, or of a class of options; null when there is none.</summary>
    public static string? Summary(MemberInfo member) => Text(member, "summary");

    /// <summary>What an option says of its default; null when it says nothing.</summary>
    public static string? Value(MemberInfo member) => Text(member, "value");

    private static string? Text(MemberInfo member, string element)
    {
        var assembly = member as Type ?? member.DeclaringType!;
        var members = Files.GetOrAdd(assembly.Assembly, static one =>
            XDocument.Load(Path.ChangeExtension(one.Location, ".xml")).Descendants("member")
                .ToDictionary(entry => entry.Attribute("name")!.Value));
        return members.GetValueOrDefault(NameOf(member))?.Element(element) is { } found
            ? Spaces().Replace(Markdown(found), " ").Trim()
            : null;
    }

    private static string Markdown(XElement element)
    {
        var text = new StringBuilder();
        foreach (var node in element.Nodes())
        {
            text.Append(node switch
            {
                XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
                XElement { Name.LocalName: "see" } see => $"`{Referenced(see.Attribute("cref")!.Value)}`",
                XElement other => Markdown(other),
                _ => ((XText)node).Value,
            });
        }

        return text.ToString();
    }

    // An option is called what the setting is called.
    private static string Referenced(string cref) => Settings.TryGetValue(cref, out var setting)
        ? setting.Path[(Setting.Section.Length + 1)..]
        : cref[(cref.LastIndexOf('.') + 1)..];

    private static string NameOf(MemberInfo member) =>
        member is Type type ? $"T:{type.FullName}" : $"P:{member.DeclaringType!.FullName}.{member.Name}";

    private static IEnumerable<Setting> All(Setting setting) => setting.Children.SelectMany(All).Prepend(setting);

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
