namespace OciRegistry;

/// <summary>
/// What is known of an option beside its type, default and description: for the reference of the settings, their JSON schema,
/// and whoever looks at them while the registry runs. <c>Problems()</c> is what holds; a test compares both.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class SettingAttribute : Attribute
{
    /// <summary>Whether a change counts without a restart: from the next request on.</summary>
    public bool MayChange { get; init; }

    /// <summary>Whether its value must not be shown to anybody.</summary>
    public bool IsSecret { get; init; }

    /// <summary>The least value, written as a setting.</summary>
    public string? Min { get; init; }

    /// <summary>The greatest value, written as a setting.</summary>
    public string? Max { get; init; }

    /// <summary>The texts that it may be, separated by spaces.</summary>
    public string? Values { get; init; }
}
