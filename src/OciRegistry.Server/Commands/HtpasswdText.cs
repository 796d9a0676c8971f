using System.Text;
using OciRegistry.Auth;

namespace OciRegistry.Server.Commands;

/// <summary>What stands in an htpasswd file. With one line changed, every other one, comments too, stays byte for byte.</summary>
internal sealed class HtpasswdText
{
    private readonly byte[] _content;
    private readonly Htpasswd _users;

    private HtpasswdText(byte[] content, Htpasswd users) => (_content, _users) = (content, users);

    public IEnumerable<string> Names => _users.Names;

    /// <exception cref="UnusableFileException">A registry would not use it either.</exception>
    public static HtpasswdText Parse(string path, byte[] content) => new(content, Htpasswd.Parse(path, content));

    /// <summary>A password's bcrypt hash, as <c>htpasswd -B</c> writes it.</summary>
    public static string HashOf(string password) =>
        BCrypt.Net.BCrypt.HashPassword(password, BCrypt.Net.BCrypt.GenerateSalt(Htpasswd.DefaultCost, 'y'));

    public bool Has(string name) => _users.Find(name) is not null;

    /// <summary>With a new user at the end, or another hash in the user's line.</summary>
    public byte[] With(string name, string hash)
    {
        if (_users.Find(name) is not { } user)
        {
            var lineBreak = _content is [] or [.., (byte)'\n'] ? "" : "\n";
            return [.. _content, .. Encoding.ASCII.GetBytes($"{lineBreak}{name}:{hash}\n")];
        }

        var start = LineOf(name).Start.Value + name.Length + 1;
        return [.. _content[..start], .. Encoding.ASCII.GetBytes(hash), .. _content[(start + user.Hash.Length)..]];
    }

    public byte[] Without(string name)
    {
        var line = LineOf(name);
        return [.. _content[..line.Start], .. _content[line.End..]];
    }

    /// <summary>A user's line, and the line break behind it.</summary>
    private Range LineOf(string name)
    {
        var beginning = Encoding.ASCII.GetBytes($"{name}:");
        var start = 0;
        while (true)
        {
            var lineBreak = _content.AsSpan(start).IndexOf((byte)'\n');
            var end = lineBreak < 0 ? _content.Length : start + lineBreak + 1;
            if (_content.AsSpan(start..end).StartsWith(beginning))
            {
                return start..end;
            }

            start = end < _content.Length ? end : throw new ArgumentException($"There is no user '{name}'.", nameof(name));
        }
    }
}
