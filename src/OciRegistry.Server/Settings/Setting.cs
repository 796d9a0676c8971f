using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using OciRegistry.Azure;
using OciRegistry.Redis;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server.Settings;

/// <summary>
/// A setting, or a group of settings, of the section <c>OciRegistry</c>: what the options classes declare, so that a
/// new option is known here without being named here.
/// </summary>
internal sealed record Setting(
    string Path, Type Type, object? Default, IReadOnlyList<Setting> Children, PropertyInfo? Option = null)
{
    private static readonly SettingAttribute Plain = new();

    public const string Section = "OciRegistry";
    public const string FileSystem = $"{Section}:Storage:FileSystem";
    public const string AzureBlobs = $"{Section}:Storage:AzureBlobs";
    public const string Redis = $"{Section}:Redis";

    /// <summary>What stands for the number of an entry in the path of a setting.</summary>
    public const string Number = "<n>";

    /// <summary>The whole section: the library's options, and beside them a group for each backend.</summary>
    public static Setting Root { get; } = Group(
        Section,
        [
            .. Of(Section, new OciRegistryOptions()).Select(AndThoseOfConnections),
            Group(
                $"{Section}:Storage",
                [
                    Group(FileSystem, Of(FileSystem, new FileSystemStoreOptions())),
                    Group(AzureBlobs, Of(AzureBlobs, new AzureBlobsOptions())),
                ]),
            Group(Redis, Of(Redis, new RedisLocksOptions())),
            .. Of(Section, new ProxyOptions()),
        ]);

    /// <summary>What the option says of itself.</summary>
    public SettingAttribute Is { get; } = Option?.GetCustomAttribute<SettingAttribute>() ?? Plain;

    public string Name => Path[(Path.LastIndexOf(':') + 1)..];

    public bool IsGroup => Children.Count > 0 && !IsNumbered;

    /// <summary>A list of groups: below it stand numbers, and below those what <see cref="Children"/> names.</summary>
    public bool IsNumbered => EntryType(Type) is not null;

    /// <summary>Takes one text, or a list of them.</summary>
    public bool IsList => IsListType(Type);

    /// <summary>The default as people read it.</summary>
    public string DefaultText => Default switch
    {
        null or "" => "none",
        bool value => value ? "true" : "false",
        var value => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    /// <summary>This setting and all below it that take a value.</summary>
    public IEnumerable<Setting> Leaves() => Children.Count > 0 ? Children.SelectMany(child => child.Leaves()) : [this];

    /// <summary>
    /// The setting that a key of the configuration belongs to: of all that is in a list, the list. Null for what is no setting.
    /// </summary>
    public static Setting? Of(string key)
    {
        var setting = Root;
        foreach (var name in key.Split(':').Skip(1))
        {
            if (setting.IsNumbered || setting.IsList)
            {
                break;
            }

            if (setting.Children.FirstOrDefault(child => child.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is not { } child)
            {
                return null;
            }

            setting = child;
        }

        return setting;
    }

    /// <summary>The setting of an entry of this list of groups that a key of the configuration belongs to; null where there is none.</summary>
    public Setting? OfEntry(string key) => key[Path.Length..].Split(':') is ["", _, var name, ..]
        ? Children.FirstOrDefault(child => child.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
        : null;

    // The server has connections, and the library has requests: to an operator both are limits.
    private static Setting AndThoseOfConnections(Setting setting) => setting.Name == nameof(OciRegistryOptions.Limits)
        ? setting with { Children = [.. setting.Children, .. Of(setting.Path, new ConnectionOptions())] }
        : setting;

    private static Setting Group(string path, IReadOnlyList<Setting> children, PropertyInfo? option = null) =>
        new(path, typeof(object), null, children, option);

    private static IReadOnlyList<Setting> Of(string path, object options) =>
    [
        .. options.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Select(property => Of($"{path}:{property.Name}", property.PropertyType, property.GetValue(options), property)),
    ];

    // What can be made from text takes a value; every other class is a group.
    private static Setting Of(string path, Type type, object? value, PropertyInfo option) =>
        IsListType(type) ? new Setting(path, type, null, [], option)
        : EntryType(type) is { } entry ? new Setting(path, type, null, Of($"{path}:{Number}", Activator.CreateInstance(entry)!), option)
        : TypeDescriptor.GetConverter(type).CanConvertFrom(typeof(string)) ? new Setting(path, type, value, [], option)
        : Group(path, Of(path, value!), option);

    private static bool IsListType(Type type) => type == typeof(IList<string>);

    private static Type? EntryType(Type type) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IList<>) && !IsListType(type)
            ? type.GetGenericArguments()[0]
            : null;
}
