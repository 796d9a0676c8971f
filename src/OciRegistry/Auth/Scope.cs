using System.Diagnostics.CodeAnalysis;

namespace OciRegistry.Auth;

/// <summary>
/// What a token is asked for, or good for: <c>repository:team/app:pull,push</c>.
/// https://distribution.github.io/distribution/spec/auth/scope/
/// </summary>
internal sealed record Scope(string Type, string Name, IReadOnlyList<string> Actions)
{
    public const string RepositoryType = "repository";
    public const string RegistryType = "registry";
    public const string CatalogName = "catalog";
    public const string AdminName = "admin";

    public static Scope Catalog { get; } = new(RegistryType, CatalogName, ["*"]);

    public static Scope Admin { get; } = new(RegistryType, AdminName, ["*"]);

    public static Scope Repository(RepositoryName name, Rights rights) =>
        new(RepositoryType, name.ToString(), rights.ToScope());

    /// <summary>False when the text is no scope; whether there is such a type or name is not looked at.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Scope? scope)
    {
        scope = null;
        var first = text.IndexOf(':', StringComparison.Ordinal);
        var last = text.LastIndexOf(':');
        if (first <= 0 || last <= first + 1)
        {
            return false;
        }

        // The class of a resource, as in "repository(plugin)", makes no difference here.
        var type = text[..first];
        var bracket = type.IndexOf('(', StringComparison.Ordinal);
        var actions = text[(last + 1)..].Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        scope = new Scope(bracket > 0 ? type[..bracket] : type, text[(first + 1)..last], actions);
        return true;
    }

    public override string ToString() => $"{Type}:{Name}:{string.Join(',', Actions)}";
}
