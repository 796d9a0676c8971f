using System.CommandLine;
using OciRegistry.Auth;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>Users and their passwords, in the htpasswd file. A registry that runs looks at it every second.</summary>
internal static class UserCommands
{
    private const string HtpasswdSetting = $"{Setting.Section}:Auth:Htpasswd";

    private static readonly Argument<string> NameArgument = new("NAME") { Description = "The user's name, as at a login." };

    private static readonly Option<string> FileOption = new("--file")
    {
        HelpName = "PATH",
        Description = $"The htpasswd file, instead of the one that the setting {HtpasswdSetting} names.",
    };

    private static readonly Option<bool> PasswordStdinOption = new("--password-stdin")
    {
        Description = "Read the password from standard input, instead of asking for it.",
    };

    public static Command Create() => new("user", "Users and their passwords, in the htpasswd file.")
    {
        new ServerCommand("add", "Adds a user; the file is made when it is missing.", AddAsync)
        {
            NameArgument, FileOption, PasswordStdinOption,
        },
        new ServerCommand("passwd", "Gives a user another password.", ChangePasswordAsync)
        {
            NameArgument, FileOption, PasswordStdinOption,
        },
        new ServerCommand("list", "Lists the names of the users.", ListAsync) { FileOption },
        new ServerCommand("remove", "Removes a user.", RemoveAsync) { NameArgument, FileOption },
    };

    private static async Task<int> AddAsync(CommandLine line)
    {
        var name = line.Call.GetRequiredValue(NameArgument);
        if (Htpasswd.NameProblem(name) is { } problem)
        {
            throw CommandException.CalledWrongly(problem);
        }

        var file = FileOf(line, mayBeMissing: true);
        ThrowIfThere(file.Read(), name); // before anybody is asked for a password
        var hash = ReadHash(line);
        await file.ChangeAsync(users => ThrowIfThere(users, name).With(name, hash));
        Console.WriteLine($"Added user '{name}' to '{file.Path}'.");
        return 0;
    }

    private static async Task<int> ChangePasswordAsync(CommandLine line)
    {
        var name = line.Call.GetRequiredValue(NameArgument);
        var file = FileOf(line);
        ThrowIfMissing(file, file.Read(), name);
        var hash = ReadHash(line);
        await file.ChangeAsync(users => ThrowIfMissing(file, users, name).With(name, hash));
        Console.WriteLine($"User '{name}' of '{file.Path}' has another password now.");
        return 0;
    }

    private static Task<int> ListAsync(CommandLine line)
    {
        foreach (var name in FileOf(line).Read().Names)
        {
            Console.WriteLine(name);
        }

        return Task.FromResult(0);
    }

    private static async Task<int> RemoveAsync(CommandLine line)
    {
        var name = line.Call.GetRequiredValue(NameArgument);
        var file = FileOf(line);
        await file.ChangeAsync(users => ThrowIfMissing(file, users, name).Without(name));
        Console.WriteLine($"Removed user '{name}' from '{file.Path}'.");
        return 0;
    }

    private static HtpasswdFile FileOf(CommandLine line, bool mayBeMissing = false)
    {
        var path = line.Call.GetValue(FileOption) ?? ServerConfiguration.Auth(CommandSettings.Read(line)).Htpasswd;
        return path is null
            ? throw CommandException.CalledWrongly($"Say which file: set {HtpasswdSetting}, which is the server's, or give --file PATH.")
            : new HtpasswdFile(path, mayBeMissing);
    }

    private static string ReadHash(CommandLine line)
    {
        var password = PasswordInput.Read(fromStandardInput: line.Call.GetValue(PasswordStdinOption));
        return Htpasswd.PasswordProblem(password) is { } problem
            ? throw CommandException.NotDone(problem)
            : HtpasswdText.HashOf(password);
    }

    private static HtpasswdText ThrowIfThere(HtpasswdText users, string name) => users.Has(name)
        ? throw CommandException.NotDone($"There is a user '{name}' already. 'user passwd {name}' changes the password.")
        : users;

    private static HtpasswdText ThrowIfMissing(HtpasswdFile file, HtpasswdText users, string name) => users.Has(name)
        ? users
        : throw CommandException.NotDone($"There is no user '{name}' in '{file.Path}'. 'user list' shows who is.");
}
