using System.Text.Json;

namespace OciRegistry.Repositories;

/// <summary>
/// A value in a manifest and the way to it, as in <c>layers[3].digest</c>. A value of another kind than the one that is
/// asked for is refused with a <see cref="JsonException"/>. A member that is null counts as missing: clients in Go write
/// null for what they leave out.
/// </summary>
internal readonly record struct JsonMember(JsonElement Value, string Path)
{
    /// <summary>The member of that name, or null.</summary>
    public JsonMember? Find(string name) =>
        Value.TryGetProperty(name, out var member) && member.ValueKind != JsonValueKind.Null ? new JsonMember(member, PathOf(name)) : null;

    /// <summary>Whether there is a member of that name, be it null.</summary>
    public bool Has(string name) => Value.TryGetProperty(name, out _);

    public JsonMember Get(string name) => Find(name) ?? throw Missing(name);

    /// <summary>The items of a list that must be there; null is the empty list.</summary>
    public IReadOnlyCollection<JsonMember> Items(string name, int limit)
    {
        if (Find(name) is not { } list)
        {
            return Has(name) ? [] : throw Missing(name);
        }

        if (list.Value.ValueKind != JsonValueKind.Array)
        {
            throw list.Refused("must be a list.");
        }

        var length = list.Value.GetArrayLength();
        return length <= limit
            ? [.. list.Value.EnumerateArray().Select((item, i) => new JsonMember(item, $"{list.Path}[{i}]"))]
            : throw list.Refused($"has {length} descriptors; this registry takes up to {limit}.");
    }

    public string Text() => Value.ValueKind == JsonValueKind.String
        ? Value.GetString()!
        : throw Refused("must be a string.");

    public bool IsInteger(out long number)
    {
        number = 0;
        return Value.ValueKind == JsonValueKind.Number && Value.TryGetInt64(out number);
    }

    public byte[] Base64() => Value.ValueKind == JsonValueKind.String && Value.TryGetBytesFromBase64(out var bytes)
        ? bytes
        : throw Refused("must be a string in base64.");

    public IReadOnlyDictionary<string, string> Texts()
    {
        RequireObject("an object of strings");
        var path = Path;
        return Value.EnumerateObject().ToDictionary(
            member => member.Name,
            member => new JsonMember(member.Value, $"{path}['{Shortened(member.Name)}']").Text(),
            StringComparer.Ordinal);
    }

    public void RequireObject(string what)
    {
        if (Value.ValueKind != JsonValueKind.Object)
        {
            throw Refused($"must be {what}.");
        }
    }

    /// <summary>
    /// Refuses names that differ from one of <paramref name="members"/> in case only. Clients in Go, and those are the
    /// most, take one for the other, so that they would read another manifest than the one that was checked here.
    /// </summary>
    public void RefuseLookalikes(string[] members)
    {
        foreach (var member in Value.EnumerateObject())
        {
            // The two letters beyond ASCII that Go holds for an s and a k.
            var folded = member.Name.Replace('\u017F', 's').Replace('\u212A', 'k');
            var meant = Array.Find(members, known => known.Equals(folded, StringComparison.OrdinalIgnoreCase));
            if (meant is not null && meant != member.Name)
            {
                throw new JsonException(
                    $"{PathOf(member.Name)} differs from '{meant}' in case only, and clients may take it for that. "
                    + "Spell it so or leave it out.",
                    PathOf(member.Name),
                    null,
                    null);
            }
        }
    }

    /// <summary>The exception to throw.</summary>
    public JsonException Refused(string problem) => new($"{Path} {problem}", Path, null, null);

    /// <summary>What was pushed, fit for a message.</summary>
    public static string Shortened(string text) => text.Length <= 100 ? text : $"{text[..100]}...";

    private JsonException Missing(string name) => new($"{PathOf(name)} is missing.", PathOf(name), null, null);

    private string PathOf(string name) => Path.Length == 0 ? name : $"{Path}.{name}";
}
